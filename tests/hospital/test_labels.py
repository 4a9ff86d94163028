"""Segmentations that people and programs store in a PACS, and what Zeus makes of them.

The tests share one PACS and one server, and run in this order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset

from tests.dicom.other_programs import saved, segmentation_by_dcmqi, segments_by_dcmqi
from tests.hospital.examinations import (
    NAMES,
    ask,
    assert_same_image,
    delete_series,
    get_json,
    objects_of,
    series_folder,
    started_orthanc,
    store,
    true_labels,
    write_examination,
)
from tests.server import running
from tests.server.segmentations.archive import made_by
from tests.waiting import wait_until
from zeus_app.commands.hospital.orthanc import Orthanc
from zeus_app.commands.hospital.sample_dicom import DicomStudy

pytestmark = [pytest.mark.orthanc, pytest.mark.slow]

STORED = ("manual", "automatic", "own", "removed", "late")
TOGETHER = "together"
"""A study that comes to the PACS with its segmentation."""
LOOK_S = 100  # a segmentation that Orthanc removed is looked for once a minute
POLL_S = 0.5


@dataclass
class Hospital:
    """An Orthanc with examinations, and a Zeus that may write to it.

    Attributes:
        pacs: the Orthanc.
        zeus: the server that runs now.
        studies: name -> examination.
        folder: for files of the tests.
    """

    pacs: Orthanc
    zeus: running.Server
    studies: dict[str, DicomStudy]
    folder: Path

    def drawn(self, name: str) -> Dataset:
        """The SEG that dcmqi writes of the true labels of a study; it says MANUAL."""
        study = self.studies[name]
        out = self.folder / f"{name}.dcm"
        folder = series_folder(study, "T2")
        return pydicom.dcmread(segmentation_by_dcmqi(true_labels(study), NAMES, folder, out))

    @property
    def records(self) -> dict[str, Any]:
        """Name of the study -> what Zeus tells of its SEG; a request of a client."""
        names = {study.uid: name for name, study in self.studies.items()}
        listed = get_json(self.zeus, "/zeus/segmentations")["segmentations"]
        return {names[record["study_uid"]]: record for record in listed}

    def wait_for(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Ask as a client does, until the records are as wanted."""
        wait_until(lambda: condition(self.records), timeout_s=LOOK_S, poll_s=POLL_S)
        return self.records

    def versions(self, name: str) -> list[Any]:
        """The versions of a study's final label."""
        path = f"/zeus/labels/{self.studies[name].uid}"
        return list(get_json(self.zeus, path)["versions"])

    def label(self, name: str) -> sitk.Image:
        """The final label of a study as a client downloads it."""
        params = {"label": self.studies[name].uid, "tag": "final"}
        answer = ask(self.zeus, "GET", "/datastore/label", params=params)
        assert answer.ok, answer.text
        (self.folder / "label.nii.gz").write_bytes(answer.content)
        return sitk.ReadImage(str(self.folder / "label.nii.gz"))

    def submit(self, name: str) -> None:
        """Submit the true labels of a study as a client does."""
        path = self.folder / "drawn.nii.gz"
        sitk.WriteImage(true_labels(self.studies[name]), str(path))
        params = {"image": self.studies[name].uid, "tag": "final"}
        with path.open("rb") as file:
            answer = ask(self.zeus, "PUT", "/datastore/label", params=params, files={"label": file})
        assert answer.ok, answer.text

    def make_result(self, name: str) -> None:
        """Have Zeus make the SEG and SR of a study, and send them to the PACS."""
        answer = ask(self.zeus, "POST", f"/zeus/results/{self.studies[name].uid}")
        assert answer.ok, answer.text
        assert [one["delivery"] for one in answer.json()["results"]] == ["sent", "sent"]


def start(pacs: Orthanc, state: Path) -> running.Server:
    conf = {"target": "phantom", "pacs_write": "true", "prepare": "false"}
    return running.start(pacs.dicomweb_url, state, conf)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    folder = tmp_path_factory.mktemp("labels")
    studies = {
        name: write_examination(folder / "studies", name, seed)
        for seed, name in enumerate((*STORED, TOGETHER))
    }
    with started_orthanc(folder / "pacs", *(studies[name] for name in STORED)) as pacs:
        started = Hospital(pacs, start(pacs, folder / "state"), studies, folder)
        try:
            yield started
        finally:
            running.stop(started.zeus)


@pytest.fixture(scope="module")
def stored(hospital: Hospital) -> Hospital:
    """Three segmentations by dcmqi and one by Zeus are in the PACS, and Zeus has seen them."""
    store(hospital.pacs, hospital.drawn("manual"))
    store(hospital.pacs, made_by(hospital.drawn("automatic"), "AUTOMATIC"))
    store(hospital.pacs, hospital.drawn("removed"))
    hospital.submit("own")
    hospital.make_result("own")
    hospital.wait_for(lambda records: len(records) == 4)
    return hospital


def test_a_manual_segmentation_is_a_final_label_of_its_author(stored: Hospital) -> None:
    record = stored.records["manual"]
    assert (record["version"], record["author"], record["reason"]) == (1, "Reader^One", "")
    (version,) = stored.versions("manual")
    assert version["info"]["author"] == "Reader^One"
    assert version["info"]["segmentation"] == record["sop_uid"]


def test_the_label_has_the_voxels_of_the_segmentation(stored: Hospital) -> None:
    assert_same_image(stored.label("manual"), true_labels(stored.studies["manual"]))


def test_a_segmentation_that_zeus_made_is_recognised_and_is_no_label(stored: Hospital) -> None:
    assert stored.records["own"]["reason"] == "Zeus made it itself"
    assert len(stored.versions("own")) == 1  # the submitted one


def test_the_segmentation_of_zeus_in_the_pacs_marks_the_voxels_that_dcmqi_reads(
    stored: Hospital, tmp_path: Path
) -> None:
    study = stored.studies["own"]
    (data,) = objects_of(stored.pacs, study.uid, "SEG")
    truth = true_labels(study)
    segments = segments_by_dcmqi(saved(data, tmp_path / "seg.dcm"), tmp_path / "dcmqi", truth)
    assert segments.keys() == NAMES.keys()
    for value, mask in segments.items():
        np.testing.assert_array_equal(mask, sitk.GetArrayFromImage(truth) == value)


def test_the_report_of_zeus_is_in_the_pacs(stored: Hospital) -> None:
    (report,) = objects_of(stored.pacs, stored.studies["own"].uid, "SR")
    (data,) = objects_of(stored.pacs, stored.studies["own"].uid, "SEG")
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    referred = {one.ReferencedSOPInstanceUID for of in evidence for one in of.ReferencedSOPSequence}
    assert data.SOPInstanceUID in referred


def test_a_segmentation_of_a_program_is_listed_and_taken_when_a_user_wants_it(
    stored: Hospital,
) -> None:
    record = stored.records["automatic"]
    assert record["version"] == 0
    assert "a program made it" in record["reason"]
    assert stored.versions("automatic") == []
    taken = ask(stored.zeus, "POST", f"/zeus/segmentations/{record['sop_uid']}/take")
    assert taken.json()["version"] == 1
    assert_same_image(stored.label("automatic"), true_labels(stored.studies["automatic"]))


def test_a_training_learns_from_a_segmentation_that_has_just_come(stored: Hospital) -> None:
    delete_series(stored.pacs, stored.records["removed"]["series_uid"])  # for a later test
    late = stored.drawn("late")
    store(stored.pacs, late)
    trained = ask(stored.zeus, "POST", "/train/zeus?run_sync=true", json={"epochs": 1})
    assert trained.ok, trained.text
    learnt = get_json(stored.zeus, "/zeus/checkpoints")["checkpoints"][-1]["studies"]
    assert set(learnt) == {stored.studies[name].uid for name in STORED}


def test_a_study_that_comes_with_its_segmentation_is_labelled(stored: Hospital) -> None:
    study = stored.studies[TOGETHER]
    stored.pacs.upload(study.files)
    store(stored.pacs, stored.drawn(TOGETHER))
    record = stored.wait_for(lambda records: records.get(TOGETHER, {}).get("version"))[TOGETHER]
    assert record["study"] == study.uid
    assert_same_image(stored.label(TOGETHER), true_labels(study))


def test_a_segmentation_that_the_pacs_lost_stays_a_label_and_is_offered(stored: Hospital) -> None:
    record = stored.wait_for(lambda records: records["removed"]["is_gone"])["removed"]
    study = stored.studies["removed"]
    assert record["offer"].startswith(f"POST /zeus/results/{study.uid}?tag=final")
    assert_same_image(stored.label("removed"), true_labels(study))
    assert objects_of(stored.pacs, study.uid, "SEG") == []  # it was not sent by itself
    address = record["offer"].split()[1]
    made = ask(stored.zeus, "POST", address)
    assert made.ok, made.text
    assert len(objects_of(stored.pacs, study.uid, "SEG")) == 1


def test_a_restart_takes_no_segmentation_again(stored: Hospital) -> None:
    names = ("manual", "automatic", "removed", "late", TOGETHER)
    before = {name: stored.versions(name) for name in names}
    assert [len(versions) for versions in before.values()] == [1] * len(names)
    running.stop(stored.zeus)
    stored.zeus = start(stored.pacs, stored.folder / "state")
    assert stored.records.keys() == stored.studies.keys()
    assert {name: stored.versions(name) for name in names} == before
    assert "is a label of" not in stored.zeus.log_text()


def test_no_name_or_id_of_a_patient_is_in_the_log(stored: Hospital) -> None:
    assert "Phantom^" not in stored.zeus.log_text()
    assert "Traceback" not in stored.zeus.log_text()
