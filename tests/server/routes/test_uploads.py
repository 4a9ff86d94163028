"""Hostile files at every door of the server: refused from their headers, and nothing is left."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests

from tests.server.conftest import affine, head, save
from tests.server.routes.replies import detail
from tests.server.running import Server
from tests.volumes.itk_headers import meta_header, nrrd_header

pytestmark = pytest.mark.usefixtures("stored_files")
NRRD, META = nrrd_header("24 20 6"), meta_header("24 20 6")
DOORS: dict[str, tuple[str, str, str]] = {
    "image": ("PUT", "/datastore/image?image=hostile", "file"),
    "label": ("PUT", "/datastore/label?image=alpha", "label"),
    "session": ("PUT", "/session/", "files"),
    "inference": ("POST", "/infer/zeus", "file"),
    "scribbles": ("PUT", "/zeus/clicks/alpha/scribbles", "file"),
    "initial mask": ("PUT", "/zeus/clicks/alpha/initial_mask", "file"),
    "label of a click": ("POST", "/infer/scribbles?image=alpha", "label"),
}


def send(server: Server, door: str, name: str, content: bytes) -> requests.Response:
    method, route, field = DOORS[door]
    return requests.request(
        method, server.url + route, files={field: (name, io.BytesIO(content))}, timeout=60
    )


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A NIfTI file of 1300×1300×70 voxels, 118 MB, as 0.1 MB."""
    image = nib.Nifti1Image(np.zeros((1, 1, 1), np.uint8), affine())
    header = bytearray(image.to_bytes())[:352]
    header[40:48] = np.array([3, 1300, 1300, 70], "<i2").tobytes()
    return gzip.compress(bytes(header) + bytes(1300 * 1300 * 70), 6)


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "secret.raw"
    path.write_bytes(bytes(range(256)) * 12)
    return str(path)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x_t2.nrrd", NRRD + "data file: {}\n\n"),
        ("x_t2.nrrd", NRRD + "data file: LIST\n{}\n"),
        ("x_t2.mha", META + "ElementDataFile = {}\n"),
        ("x_t2.mhd", META + "ElementDataFile = {}\n"),
        ("x_t2.mhd", META + "ElementDataFile = LIST 3\n{}\n"),
    ],
)
def test_an_upload_opens_no_other_file(
    server: Server, secret: str, door: str, name: str, text: str
) -> None:
    answer = send(server, door, name, text.format(secret).encode())
    assert answer.status_code == 400
    assert secret not in answer.text


@pytest.mark.parametrize("door", DOORS)
def test_what_unpacks_to_more_than_the_limit_is_refused_by_its_header(
    server: Server, bomb: bytes, door: str
) -> None:
    answer = send(server, door, "t2.nii.gz", bomb)
    # A label is compared with its image first.
    status, reason = (400, "1300×1300×70") if door == "label" else (413, "118300000")
    assert answer.status_code == status
    assert reason in detail(answer)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "name", ["..", "x.nii.gz/..", "a\0.nii.gz", 300 * "a" + ".nii.gz", "t2.exe"]
)
def test_a_name_that_no_image_has_is_refused(server: Server, door: str, name: str) -> None:
    assert send(server, door, name, b"x").status_code in (400, 422)


@pytest.mark.parametrize("door", DOORS)
def test_refused_uploads_leave_nothing_in_the_state_folder(server: Server, door: str) -> None:
    def files() -> set[Path]:
        folders = [server.state / "sessions", *server.state.glob("*/uploads")]
        return {path for folder in folders for path in folder.rglob("*")}

    before = files()
    assert send(server, door, "t2.nii.gz", b"no image").status_code == 400
    assert send(server, door, "t2.mha", META.encode()).status_code == 400
    assert files() == before


def test_a_list_of_cases_is_no_part_of_a_session(server: Server, tmp_path: Path) -> None:
    image = save(tmp_path / "t2.nii.gz", head(5), affine()).read_bytes()
    for name, text in (
        ("cases.yaml", "- {id: x, sequences: {T2: /etc/passwd}}"),
        ("cases.json", "[]"),
        ("dataset.json", json.dumps({"training": []})),
        ("meta.info", json.dumps({"image": "/etc"})),
        ("sitecustomize.py", "print('run')"),
    ):
        files = [("files", ("t2.nii.gz", image)), ("files", (name, text.encode()))]
        answer = requests.put(f"{server.url}/session/", files=files, timeout=60)
        assert answer.status_code == 400
        assert name in detail(answer)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("t2.nii.gz", image)
            archive.writestr(name, text)
        answer = requests.put(
            f"{server.url}/session/?uncompress=true",
            files={"files": ("study.zip", packed.getvalue())}, timeout=60,
        )  # fmt: skip
        assert answer.status_code == 400


def test_an_image_that_cannot_be_opened_is_not_listed(
    server: Server, tmp_path: Path, bomb: bytes
) -> None:
    for content in (bomb, save(tmp_path / "t2.nii.gz", head(5), affine()).read_bytes()[:-300]):
        assert send(server, "image", "t2.nii.gz", content).status_code in (400, 413)
        studies = requests.get(f"{server.url}/zeus/studies?refresh=true", timeout=60).json()
        assert "hostile" not in json.dumps(studies)


def test_an_answer_about_a_session_names_no_folder_of_the_server(
    server: Server, tmp_path: Path
) -> None:
    image = save(tmp_path / "t2.nii.gz", head(5), affine()).read_bytes()
    answer = send(server, "session", "t2.nii.gz", image)
    assert answer.status_code == 200
    assert "/" not in answer.text
    session = answer.json()["session_id"]
    assert requests.get(f"{server.url}/session/{session}?image=true", timeout=60).content == image
    inferred = requests.post(
        f"{server.url}/infer/zeus?session_id={session}&output=json", timeout=60
    )
    assert inferred.status_code == 200
    assert requests.delete(f"{server.url}/session/{session}", timeout=60).status_code == 200


@pytest.mark.parametrize(
    "session", ["..", "../..", "a%2Fb", "%00", "x" * 5000, "00000000-0000-0000-0000-000000000000"]
)
def test_an_inference_of_another_session_is_not_found(server: Server, session: str) -> None:
    answer = requests.post(f"{server.url}/infer/zeus?session_id={session}", timeout=60)
    assert answer.status_code == 404


def test_a_body_without_files_has_a_limit(server: Server) -> None:
    text = "x" * (5 * 1024 * 1024)
    answer = requests.post(f"{server.url}/train/zeus", data=json.dumps({"x": text}), timeout=60)
    assert answer.status_code == 413
    assert "4 MiB" in detail(answer)


def test_a_mask_sent_along_with_an_inference_is_not_ignored(server: Server) -> None:
    """The model that segments by itself reads none."""
    answer = requests.post(
        f"{server.url}/infer/zeus?image=alpha", files={"label": ("s.nii.gz", b"x")}, timeout=60
    )
    assert answer.status_code == 400
    assert "POST /infer/scribbles" in detail(answer)
