"""DICOM results over a real server: of a folder, and of a PACS that gets them by STOW."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import requests
from pydicom.uid import ExplicitVRLittleEndian

from tests.dicom.fake_pacs import FakePacs, served
from tests.dicom.other_programs import errors_of
from tests.server import running
from tests.server.conftest import make_study
from tests.server.results.dicom_study import (
    CYST,
    LESION,
    STUDY_UID,
    label_file,
    labels,
    write_study,
)
from tests.server.routes.replies import detail
from tests.waiting import wait_until
from zeus_app.types import LabelArray

LABEL = labels(LESION, CYST)
TIMEOUT_S = 120


@pytest.fixture(scope="module")
def folder_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    """A server of a folder with one DICOM study, anna, and one NIfTI study, alpha."""
    folder = tmp_path_factory.mktemp("folder")
    write_study(folder / "studies" / "anna")
    make_study(folder / "studies", "alpha", 10)
    started = running.start(folder / "studies", folder / "state", {"target": "phantom"})
    yield started
    running.stop(started)


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakePacs]:
    folder = tmp_path_factory.mktemp("pacs")
    write_study(folder)
    with served(FakePacs()) as started:
        started.add_files(folder.rglob("*.dcm"))
        yield started


@pytest.fixture(scope="module")
def pacs_server(
    pacs: FakePacs, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[running.Server]:
    """A server of that PACS, which makes and sends all results by itself."""
    conf = {"target": "phantom", "dicom_results": "all", "pacs_write": "true"}
    started = running.start(pacs.url, tmp_path_factory.mktemp("state"), conf)
    yield started
    running.stop(started)


def submit(server: running.Server, study: str, label: LabelArray, folder: Path) -> None:
    with label_file(folder / "label.nii.gz", label).open("rb") as file:
        requests.put(
            f"{server.url}/datastore/label", params={"image": study},
            files={"label": ("label.nii.gz", file)}, timeout=TIMEOUT_S,
        ).raise_for_status()  # fmt: skip


def post(server: running.Server, path: str, **kinds: Any) -> requests.Response:
    return requests.post(f"{server.url}/zeus/results/{path}", timeout=TIMEOUT_S, **kinds)


def get(server: running.Server, path: str) -> requests.Response:
    return requests.get(f"{server.url}/zeus/results/{path}", timeout=TIMEOUT_S)


def made(server: running.Server, study: str, **params: Any) -> list[dict[str, Any]]:
    answer = post(server, study, json=params)
    answer.raise_for_status()
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def downloaded(server: running.Server, entry: dict[str, Any], folder: Path) -> pydicom.Dataset:
    """A result as a client downloads it; dciodvfy finds no error in it."""
    answer = requests.get(f"{server.url}{entry['download']}", timeout=TIMEOUT_S)
    answer.raise_for_status()
    assert answer.headers["content-type"] == "application/dicom"
    path = folder / f"{entry['kind']}.dcm"
    path.write_bytes(answer.content)
    assert errors_of(path) == set()
    return pydicom.dcmread(path)


def test_a_label_becomes_a_seg_and_an_sr_that_are_listed_and_downloaded(
    folder_server: running.Server, tmp_path: Path
) -> None:
    submit(folder_server, "anna", LABEL, tmp_path)
    seg, sr = made(folder_server, "anna")
    listed = get(folder_server, "anna").json()["results"]
    assert [entry["sop_uid"] for entry in listed[-2:]] == [seg["sop_uid"], sr["sop_uid"]]
    written = downloaded(folder_server, seg, tmp_path)
    assert written.SOPInstanceUID == seg["sop_uid"]
    assert written.StudyInstanceUID == STUDY_UID
    assert written.pixel_array.sum() == np.count_nonzero(LABEL)
    assert downloaded(folder_server, sr, tmp_path).Modality == "SR"


def test_a_form_and_an_address_say_the_same_as_json(
    folder_server: running.Server, tmp_path: Path
) -> None:
    submit(folder_server, "anna", LABEL, tmp_path)
    by_json = post(folder_server, "anna", json={"tag": "final", "sequences": ["T2"]}).json()
    for form in ({"data": {"tag": "final", "sequences": "T2"}},
                 {"files": {"tag": (None, "final"), "sequences": (None, "T2")}},
                 {"params": {"tag": "final", "sequences": "T2"}}):  # fmt: skip
        answer = post(folder_server, "anna", **form).json()
        assert answer["results"] == by_json["results"]
        assert (by_json["made"], answer["made"]) == (True, False)


def test_a_prediction_without_a_voxel_is_a_valid_result(
    folder_server: running.Server, tmp_path: Path
) -> None:
    infer = f"{folder_server.url}/infer/zeus?image=anna&output=json"
    requests.post(infer, timeout=TIMEOUT_S).raise_for_status()
    seg, _ = made(folder_server, "anna", tag="original")
    assert (seg["made_by"], seg["version"]) == ("AUTOMATIC", "untrained")
    written = downloaded(folder_server, seg, tmp_path)
    assert written.pixel_array.sum() == 0
    assert {s.SegmentAlgorithmType for s in written.SegmentSequence} == {"AUTOMATIC"}


def test_the_servers_own_dicomweb_shows_the_results_with_their_study(
    folder_server: running.Server, tmp_path: Path
) -> None:
    submit(folder_server, "anna", LABEL, tmp_path)
    seg, sr = made(folder_server, "anna")
    root = f"{folder_server.url}/proxy/dicom"
    series = requests.get(f"{root}/qido/studies/{STUDY_UID}/series", timeout=TIMEOUT_S).json()
    modalities = {item["0020000E"]["Value"][0]: item["00080060"]["Value"][0] for item in series}
    assert modalities[seg["series_uid"]] == "SEG"
    assert modalities[sr["series_uid"]] == "SR"
    address = f"{root}/wado/studies/{STUDY_UID}/series/{seg['series_uid']}/metadata"
    (header,) = requests.get(address, timeout=TIMEOUT_S).json()
    assert header["00080018"]["Value"] == [seg["sop_uid"]]


def test_results_are_no_studies_and_no_labels(
    folder_server: running.Server, tmp_path: Path
) -> None:
    submit(folder_server, "anna", LABEL, tmp_path)
    made(folder_server, "anna")
    listed = requests.get(f"{folder_server.url}/zeus/studies?refresh=true", timeout=TIMEOUT_S)
    assert set(listed.json()["studies"]) == {"anna", "alpha"}


def test_a_study_of_nifti_files_is_refused_with_what_to_do_instead(
    folder_server: running.Server,
) -> None:
    answer = post(folder_server, "alpha")
    assert answer.status_code == 400
    assert "GET /datastore/label?label=alpha&tag=final" in detail(answer)


@pytest.mark.parametrize(
    "path", ["nobody", "anna/1.2.3", "anna/..%2F..%2Fpseudonyms.key", "anna/%00", "nobody/1.2.3"]
)
def test_what_is_not_there_is_answered_with_404(folder_server: running.Server, path: str) -> None:
    assert get(folder_server, path).status_code == 404


@pytest.mark.parametrize(
    ("params", "status", "reason"),
    [
        ({"tag": "second"}, 404, "no mask tagged 'second'"),
        ({"tag": "../final"}, 400, "tag"),
        ({"tag": "draft"}, 400, "draft"),
        ({"sequences": ["CT"]}, 404, "CT"),
        ({"sequences": 3}, 400, "sequences"),
        ({"path": "/etc/passwd"}, 400, "path"),
    ],
)
def test_a_bad_request_is_refused_with_the_reason(
    folder_server: running.Server, params: dict[str, Any], status: int, reason: str
) -> None:
    answer = post(folder_server, "anna", json=params)
    assert answer.status_code == status
    assert reason in detail(answer)


def test_a_server_of_a_folder_sends_nothing(folder_server: running.Server, tmp_path: Path) -> None:
    submit(folder_server, "anna", LABEL, tmp_path)
    seg, _ = made(folder_server, "anna")
    answer = post(folder_server, f"anna/{seg['sop_uid']}/send")
    assert answer.status_code == 400
    assert "no PACS" in detail(answer)


def results_of(server: running.Server, **expected: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = get(server, STUDY_UID).json()["results"]
    return [entry for entry in listed if expected.items() <= entry.items()]


def wait_for(server: running.Server, count: int, **expected: str) -> list[dict[str, Any]]:
    """Wait for this many results."""
    wait_until(lambda: len(results_of(server, **expected)) >= count, timeout_s=TIMEOUT_S)
    found = results_of(server, **expected)
    assert len(found) == count
    return found


def test_a_label_and_a_prediction_of_a_pacs_arrive_there_by_themselves(
    pacs: FakePacs, pacs_server: running.Server, tmp_path: Path
) -> None:
    submit(pacs_server, STUDY_UID, LABEL, tmp_path)
    by_label = wait_for(pacs_server, 2, tag="final", delivery="sent")
    infer = f"{pacs_server.url}/infer/zeus?image={STUDY_UID}&output=json"
    requests.post(infer, timeout=TIMEOUT_S).raise_for_status()
    by_model = wait_for(pacs_server, 2, tag="original", delivery="sent")
    arrived = [pydicom.dcmread(BytesIO(file)) for file in pacs.stored]
    assert [data.SOPInstanceUID for data in arrived] == [
        entry["sop_uid"] for entry in (*by_label, *by_model)
    ]
    for number, data in enumerate(arrived):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(pacs.stored[number])
        assert errors_of(path) == set()
        assert (data.PatientID, data.StudyInstanceUID) == ("anna", STUDY_UID)
        assert data.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_a_batch_makes_the_results_of_its_predictions_before_it_ends(
    pacs: FakePacs, pacs_server: running.Server
) -> None:
    before = len(results_of(pacs_server, tag="original", delivery="sent"))
    batch = f"{pacs_server.url}/batch/infer/zeus?run_sync=true"
    params = {"instructions": {"lesion": "a text, so that the prediction is a new one"}}
    requests.post(batch, json=params, timeout=TIMEOUT_S).raise_for_status()
    assert len(results_of(pacs_server, tag="original", delivery="sent")) == before + 2


def test_a_pacs_that_refuses_gets_the_result_when_a_client_asks_again(
    pacs: FakePacs, pacs_server: running.Server, tmp_path: Path
) -> None:
    usual, count = pacs.stow, len(pacs.stored)
    pacs.stow = 503, pydicom.Dataset()
    submit(pacs_server, STUDY_UID, labels(LESION), tmp_path)
    seg, sr = wait_for(pacs_server, 2, delivery="failed")
    assert "answers 503" in seg["reason"]
    assert downloaded(pacs_server, seg, tmp_path).SOPInstanceUID == seg["sop_uid"]
    pacs.stow = usual
    for entry in (seg, sr):
        answer = requests.post(f"{pacs_server.url}{entry['send']}", timeout=TIMEOUT_S)
        answer.raise_for_status()
        assert answer.json()["sent"] is True
    assert len(pacs.stored) == count + 2
    again = post(pacs_server, f"{STUDY_UID}/{seg['sop_uid']}/send")
    assert again.json()["reason"] == "the PACS has it already"
    assert len(pacs.stored) == count + 2


def test_no_patient_is_named_in_the_log_or_in_a_list(pacs_server: running.Server) -> None:
    listed = get(pacs_server, STUDY_UID).text
    for text in (listed, pacs_server.log_text()):
        assert "anna" not in text
        assert "19500102" not in text
