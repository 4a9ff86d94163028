"""A real server whose studies are in a PACS: list, image, mask, label, training and a slow PACS."""

from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests

from tests.dicom.fake_pacs import FakePacs, served
from tests.server import running
from tests.server.conftest import LESION, SHAPE
from tests.waiting import wait_until
from zeus_app.commands.hospital.sample_dicom import DicomStudy, write_dicom_study

SPACING = np.diag([1.5, 1.5, 3.0, 1.0])


def phantom(folder: Path, name: str, seed: int) -> DicomStudy:
    """T2 with a bright lesion, and FLAIR, as DICOM."""
    files = {}
    for sequence in ("T2", "FLAIR"):
        values = np.random.default_rng(seed).integers(300, 500, SHAPE)
        values[LESION] = 1000
        files[sequence] = folder / f"{name}-{sequence}.nii"
        nib.save(nib.Nifti1Image(values.astype(np.int16), SPACING), files[sequence])
    return write_dicom_study(files, folder / name, name=name)


@pytest.fixture(scope="module")
def examinations(tmp_path_factory: pytest.TempPathFactory) -> list[DicomStudy]:
    folder = tmp_path_factory.mktemp("phantoms")
    return [phantom(folder, f"anna-{seed}", seed) for seed in range(3)]


@pytest.fixture(scope="module")
def pacs(examinations: list[DicomStudy]) -> Iterator[FakePacs]:
    with served(FakePacs(last_change=1)) as started:
        for study in examinations[:2]:
            started.add_files(study.files)
        yield started


@pytest.fixture(scope="module")
def server(pacs: FakePacs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    started = running.start(pacs.url, tmp_path_factory.mktemp("state"), {"target": "phantom"})
    yield started
    running.stop(started)


def get(server: running.Server, path: str, **params: str) -> requests.Response:
    return requests.get(f"{server.url}{path}", params=params, timeout=120)


def test_the_list_names_the_studies_and_opens_none(
    server: running.Server, pacs: FakePacs, examinations: list[DicomStudy]
) -> None:
    listed = get(server, "/zeus/studies").json()["studies"]
    assert listed.keys() == {study.uid for study in examinations[:2]}
    assert pacs.count("metadata") == 0


def test_an_image_is_downloaded_and_its_other_sequences_follow(
    server: running.Server, pacs: FakePacs, examinations: list[DicomStudy], tmp_path: Path
) -> None:
    study = examinations[0]
    answer = get(server, "/datastore/image", image=study.uid)
    (tmp_path / "t2.nii.gz").write_bytes(answer.content)
    image = nib.load(tmp_path / "t2.nii.gz")
    assert sorted(image.shape) == sorted(SHAPE)
    wait_until(lambda: all(pacs.count(one.uid) for one in study.series.values()))


def test_a_study_is_segmented_labelled_and_learnt_from(
    server: running.Server, pacs: FakePacs, examinations: list[DicomStudy], tmp_path: Path
) -> None:
    mask = requests.post(f"{server.url}/infer/zeus?image={examinations[0].uid}&output=image",
                         data={"params": "{}"}, timeout=120)  # fmt: skip
    assert mask.status_code == 200
    for study in examinations[:2]:
        image = tmp_path / f"{study.name}.nii.gz"
        image.write_bytes(get(server, "/datastore/image", image=study.uid).content)
        loaded = nib.load(image)
        label = (np.asarray(loaded.dataobj) > 900).astype(np.uint8)
        path = tmp_path / "label.nii.gz"
        nib.save(nib.Nifti1Image(label, loaded.affine), path)
        saved = requests.put(f"{server.url}/datastore/label?image={study.uid}&tag=final",
                             files={"label": path.open("rb")}, timeout=120)  # fmt: skip
        assert saved.status_code == 200
    trained = requests.post(f"{server.url}/train/zeus?run_sync=true", json={}, timeout=240)
    assert trained.status_code == 200
    versions = get(server, "/zeus/checkpoints").json()["checkpoints"]
    assert set(versions[-1]["studies"]) == {study.uid for study in examinations[:2]}


def test_a_slow_pacs_blocks_no_other_request(
    server: running.Server, pacs: FakePacs, examinations: list[DicomStudy]
) -> None:
    new = examinations[2]
    pacs.add_files(new.files)
    pacs.last_change = 2
    wait_until(lambda: new.uid in get(server, "/zeus/studies").json()["studies"], poll_s=1)
    pacs.fault = {f"/studies/{new.uid}": "slow"}
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{server.url}/datastore/image?image={new.uid}", timeout=1)
    assert get(server, "/info/").status_code == 200
    assert get(server, "/datastore/image", image=examinations[0].uid).status_code == 200
    pacs.fault = {}
    pacs.released.set()
    assert get(server, "/datastore/image", image=new.uid).status_code == 200


def test_a_pacs_that_is_away_is_told_and_costs_no_study(
    server: running.Server, pacs: FakePacs, examinations: list[DicomStudy], tmp_path: Path
) -> None:
    more = phantom(tmp_path, "bob", 9)
    pacs.add_files(more.files)
    pacs.last_change = 3
    wait_until(lambda: more.uid in get(server, "/zeus/studies").json()["studies"], poll_s=1)
    pacs.fault = {"/": 503}
    answer = get(server, "/datastore/image", image=more.uid)
    assert answer.status_code == 503
    assert "try again later" in answer.json()["detail"]
    assert more.uid in get(server, "/zeus/studies").json()["studies"]
    pacs.fault = {}


def test_no_patient_id_is_in_the_log(server: running.Server) -> None:
    assert "anna" not in server.log_text()
    assert "Traceback" not in server.log_text()
