"""Volumes that lie, are damaged or too large, to every route that takes a file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.cases import CASES, try_cases
from tests.fuzz.nifti_files import nifti
from tests.fuzz.odd_values import file_names
from tests.fuzz.target import Target, voxels_of
from tests.fuzz.volume_files import VOLUMES, zips
from tests.server.conftest import SHAPE

SHARE = 0.5  # of all cases
MOST_MEMORY_MIB = 2048  # of the server at its peak, with a model of no size


@dataclass(frozen=True)
class Upload:
    """A file as a client sends it."""

    name: str
    content: bytes


def upload_image(target: Target, upload: Upload) -> None:
    """Add a study, segment it, fetch it."""
    study = f"made-{uuid4().hex[:8]}"
    query = {"image": study}
    answer = target.send("PUT", "/datastore/image", query=query, files=part("file", upload))
    if answer.ok:
        target.send("POST", "/infer/zeus", query=query)
        target.send("POST", "/infer/clicks", query=query, data={"params": '{"label": "lesion"}'})
        target.send("GET", "/datastore/image", query=query)
        target.send("DELETE", "/datastore/image", query={"id": study})


def upload_label(target: Target, upload: Upload) -> None:
    """Submit a label. One that is acknowledged can be fetched, whole."""
    answer = target.send(
        "PUT", "/datastore/label", query={"image": "bravo"}, files=part("label", upload)
    )
    if answer.ok:
        query = {"label": "bravo", "tag": "final"}
        label = target.send("GET", "/datastore/label", query=query)
        assert voxels_of(label.content).shape == SHAPE
        assert set(np.unique(voxels_of(label.content))) <= {0, 1}


def lend_session(target: Target, upload: Upload) -> None:
    """Make a session of a file, segment it, fetch it, remove it."""
    answer = target.send("PUT", "/session/", query={"expiry": "600"}, files=part("files", upload))
    if answer.ok:
        use_session(target, answer)


def lend_archive(target: Target, upload: Upload) -> None:
    """Do the same with an archive that the server unpacks."""
    query = {"uncompress": "true", "expiry": "600"}
    answer = target.send("PUT", "/session/", query=query, files=part("files", upload))
    if answer.ok:
        use_session(target, answer)


def use_session(target: Target, answer: requests.Response) -> None:
    session = answer.json()["session_id"]
    target.send("POST", "/infer/zeus", query={"session_id": session})
    target.send("POST", "/infer/clicks_3d", query={"session_id": session})
    target.send("GET", f"/session/{session}", query={"image": "true"})
    target.send("DELETE", f"/session/{session}")


def lend_two_files(target: Target, upload: Upload) -> None:
    """Make a session of two files: two sequences, or two slices of one."""
    other = Upload("other_flair.nii.gz", nifti(is_label=False))
    parts = [*part("files", upload).items(), *part("files", other).items()]
    answer = target.send("PUT", "/session/", query={"expiry": "600"}, files=parts)
    if answer.ok:
        use_session(target, answer)


def infer_file(target: Target, upload: Upload) -> None:
    """Segment a file that is sent along."""
    target.send("POST", "/infer/zeus", files=part("file", upload))


def upload_scribbles(target: Target, upload: Upload) -> None:
    """Upload scribbles and an initial mask, and click with them."""
    for kind in ("scribbles", "initial_mask"):
        target.send("PUT", f"/zeus/clicks/charlie/{kind}", files=part("file", upload))
    params = {"params": '{"label": "lesion", "scribbles": true, "foreground": [[5, 5, 2]]}'}
    target.send("POST", "/infer/clicks_3d", query={"image": "charlie"}, data=params)
    target.send(
        "POST", "/infer/clicks_3d", query={"image": "charlie"}, data={"params": '{"reset": true}'}
    )
    target.send("POST", "/infer/scribbles", query={"image": "charlie"}, files=part("label", upload))


USES: tuple[Callable[[Target, Upload], None], ...] = (
    upload_image, upload_label, lend_session, lend_two_files, infer_file, upload_scribbles,
)  # fmt: skip


def part(field: str, upload: Upload) -> dict[str, tuple[str, bytes]]:
    return {field: (upload.name, upload.content)}


PLAIN_NAMES = st.sampled_from(["made_t2.nii.gz", "made_t2.nii", "made_t2.nrrd", "made_t2.mha"])


ENDINGS = {b"NRRD": ".nrrd", b"ObjectType": ".mha", b"\x1f\x8b": ".nii.gz"}


def ending_of(content: bytes) -> str:
    """The ending that fits a file's first bytes."""
    fitting = [ending for start, ending in ENDINGS.items() if content.startswith(start)]
    if content[128:132] == b"DICM":
        fitting = [".dcm"]
    return fitting[0] if fitting else ".nii"


@st.composite
def uploads(draw: st.DrawFn) -> Upload:
    """Mostly under a name that fits the content, so that it is read."""
    content = draw(VOLUMES)
    if draw(st.integers(0, 3)):
        return Upload(f"made_t2{ending_of(content)}", content)
    return Upload(draw(PLAIN_NAMES | file_names(Path("/nonexistent"))), content)


@st.composite
def archives(draw: st.DrawFn) -> Upload:
    names = PLAIN_NAMES | file_names(Path("/nonexistent"))
    return Upload(draw(st.sampled_from(["study.zip", "study.zip", "x.nii.gz", ".zip"])),
                  draw(zips(names)))  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1800)
@try_cases(round(CASES * SHARE * 5 / 6))
@given(use=st.sampled_from(USES), upload=uploads())
def test_an_odd_volume_gets_a_result_or_a_reason(
    target: Target, use: Callable[[Target, Upload], None], upload: Upload
) -> None:
    use(target, upload)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@try_cases(round(CASES * SHARE / 6))
@given(upload=archives())
def test_an_odd_archive_gets_a_result_or_a_reason(target: Target, upload: Upload) -> None:
    lend_archive(target, upload)


@pytest.mark.slow
def test_no_odd_volume_wrote_a_file_elsewhere(target: Target) -> None:
    assert target.files_elsewhere() == target.untouched


@pytest.mark.slow
def test_no_odd_volume_took_the_memory_of_the_machine(target: Target) -> None:
    assert target.peak_memory_mib() <= MOST_MEMORY_MIB
