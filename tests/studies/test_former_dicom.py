"""DICOM studies are named as commit 2ea7737 named them; the expected values are its answers."""

from pathlib import Path

import pytest

from tests.studies.tiny_files import dicom_series
from zeus_app.studies.find import find_studies
from zeus_app.studies.former_ids import FormerIds
from zeus_app.targets import load_target

FIRST, SECOND = (tuple(f"{letter}{n}.dcm" for n in range(3)) for letter in "ab")


def former(root: Path) -> FormerIds:
    return find_studies(root, load_target("brain_tumour")).former


def two_in(folder: Path, *dates: str) -> None:
    for uid, names, date in zip(("1.1", "1.2"), (FIRST, SECOND), dates, strict=True):
        dicom_series(folder, "T1 tra", study_uid=uid, names=names, StudyDate=date)


@pytest.mark.parametrize(
    ("folder", "ids"),
    [
        ("anna/mprage", {"anna_mprage": {"anna"}}),
        ("anna/dicom/T1", {}),
        ("anna/3-T1 MPRAGE/x", {}),
        ("Müller/T1", {"Muller": {"Muller-fa6a2313"}}),
    ],
)
def test_a_study_was_named_after_the_folder_above_its_series(
    tmp_path: Path, folder: str, ids: dict[str, set[str]]
) -> None:
    dicom_series(tmp_path / folder, "T1 tra")
    assert former(tmp_path).ids == ids


def test_of_two_examinations_in_a_folder_the_one_without_a_date_had_the_folder_s_name(
    tmp_path: Path,
) -> None:
    two_in(tmp_path / "anna", "", "20210101")
    assert former(tmp_path).ids == {"anna": {"anna_undated"}}


def test_the_folder_s_name_may_have_been_that_of_each_while_it_was_alone(tmp_path: Path) -> None:
    two_in(tmp_path / "anna", "20200101", "20210101")
    assert former(tmp_path).ids == {"anna": {"anna_20200101", "anna_20210101"}}


def test_examinations_in_folders_of_their_own_had_no_date(tmp_path: Path) -> None:
    dicom_series(tmp_path / "anna" / "mprage", "T1 tra", study_uid="1.1", StudyDate="20200101")
    dicom_series(tmp_path / "anna" / "spgr", "T1 tra", study_uid="1.2", StudyDate="20210101")
    assert former(tmp_path).ids == {
        "anna_mprage": {"anna_20200101"}, "anna_spgr": {"anna_20210101"},
    }  # fmt: skip


def test_the_patient_of_an_anonymous_study_was_its_folder(tmp_path: Path) -> None:
    dicom_series(tmp_path / "ABC" / "anna" / "mprage", "T1 tra", PatientID="ANON")
    dicom_series(tmp_path / "ABC" / "bert" / "mprage", "T1 tra", study_uid="1.9", PatientID="ANON")
    catalog = find_studies(tmp_path, load_target("brain_tumour"))
    now = {files.patient for files in catalog.studies.values()}
    assert catalog.former.patients.get("ABC", {"ABC"}) == now
