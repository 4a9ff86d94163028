"""Labels of a DICOM study are found by its UID, in a folder and in a PACS."""

from pathlib import Path

import numpy as np

from zeus_app.labels.study_uids import other_names
from zeus_app.labels.versions import LabelHistory
from zeus_app.types import StudyFiles, Volume

MASK = Volume(np.ones((2, 2, 2), np.uint8), np.eye(4))


def study(study_id: str, uid: str) -> StudyFiles:
    return StudyFiles(study_id, {}, "patient", study_uid=uid)


def history(folder: Path, stored: str, **info: str) -> LabelHistory:
    labels = LabelHistory(folder)
    labels.save(stored, "final", MASK, info)
    return labels


def found(labels: LabelHistory, *studies: StudyFiles) -> dict[str, str]:
    return other_names(labels, {one.id: one for one in studies})


def test_a_study_of_a_pacs_has_the_labels_of_its_folder(tmp_path: Path) -> None:
    labels = history(tmp_path, "anna", study_uid="1.2.3")
    assert found(labels, study("1.2.3", "1.2.3"), study("1.2.4", "1.2.4")) == {"1.2.3": "anna"}


def test_a_folder_has_the_labels_of_its_study_in_a_pacs(tmp_path: Path) -> None:
    assert found(history(tmp_path, "1.2.3"), study("anna", "1.2.3")) == {"anna": "1.2.3"}


def test_a_study_with_labels_of_its_own_keeps_to_them(tmp_path: Path) -> None:
    labels = history(tmp_path, "anna", study_uid="1.2.3")
    labels.save("1.2.3", "final", MASK, {})
    assert found(labels, study("1.2.3", "1.2.3")) == {}


def test_labels_of_another_study_are_not_taken(tmp_path: Path) -> None:
    labels = history(tmp_path, "anna", study_uid="1.2.9")
    assert found(labels, study("1.2.3", "1.2.3"), StudyFiles("nifti", {}, "p")) == {}


def test_labels_under_another_name_are_read_and_written_there(tmp_path: Path) -> None:
    labels = history(tmp_path, "anna", study_uid="1.2.3")
    labels.other_names = found(labels, study("1.2.3", "1.2.3"))
    labels.save("1.2.3", "final", MASK, {})
    assert [version.number for version in labels.versions("1.2.3", "final")] == [1, 2]
    assert labels.studies("final") == {"1.2.3"}
    assert [path.name for path in (tmp_path / "final").iterdir()] == ["anna"]
