"""Several studies of one patient get the same patient."""

import json
from pathlib import Path

import pytest

from tests.studies.tiny_files import dicom_series, nifti, ramp, study
from zeus_app.studies.find import find_studies
from zeus_app.studies.read import read_one_file
from zeus_app.targets import Target, load_target

BRAIN = load_target("brain_tumour")
PROSTATE = load_target("prostate")
ABDOMEN = load_target("abdomen")


def patients(root: Path, target: Target) -> dict[str, str]:
    return {name: study.patient for name, study in find_studies(root, target).studies.items()}


def test_a_study_in_a_folder_of_its_own_is_a_patient(tmp_path: Path) -> None:
    study(tmp_path / "anna", "T1", "T2")
    study(tmp_path / "bob b", "T1")
    assert patients(tmp_path, BRAIN) == {"anna": "anna", "bob_b": "bob_b"}


def test_studies_in_folders_below_one_are_of_one_patient(tmp_path: Path) -> None:
    study(tmp_path / "anna" / "2019", "T1")
    study(tmp_path / "anna" / "2020" / "anat", "T1")
    study(tmp_path / "bob" / "first", "T1")
    assert patients(tmp_path, BRAIN) == {
        "anna_2019": "anna", "anna_2020": "anna", "bob_first": "bob",
    }  # fmt: skip


def test_a_study_that_joins_a_patients_folder_changes_no_name(tmp_path: Path) -> None:
    study(tmp_path / "anna", "T1")
    before = patients(tmp_path, BRAIN)["anna"]
    study(tmp_path / "anna" / "later", "T1")
    assert set(patients(tmp_path, BRAIN).values()) == {before}


@pytest.mark.parametrize("above", ["HGG", "MICCAI_BraTS2020_TrainingData", "images", "Train_Sets"])
def test_a_folder_named_as_a_collection_is_no_patient(tmp_path: Path, above: str) -> None:
    study(tmp_path / above / "anna" / "2019", "T1")
    study(tmp_path / above / "anna" / "2020", "T1")
    study(tmp_path / above / "bob", "T1")
    assert patients(tmp_path, BRAIN) == {
        f"{above}_anna_2019": f"{above}_anna", f"{above}_anna_2020": f"{above}_anna",
        f"{above}_bob": f"{above}_bob",
    }  # fmt: skip


def test_the_prefixes_of_a_flat_folder_are_patients(tmp_path: Path) -> None:
    study(tmp_path / "mine", "anna_T1", "anna_T2", "bob_T1", "bob_T2")
    assert patients(tmp_path, BRAIN) == {"mine_anna": "mine_anna", "mine_bob": "mine_bob"}


def test_prefixes_that_start_with_their_folders_name_are_one_patients(tmp_path: Path) -> None:
    study(tmp_path / "10000", *(f"10000_{e}_{s}" for e in (1, 2) for s in ("t2w", "adc")))
    study(tmp_path / "10001", *(f"10001_{e}_{s}" for e in (3, 4) for s in ("t2w", "adc")))
    assert patients(tmp_path, PROSTATE) == {
        "10000_10000_1": "10000", "10000_10000_2": "10000",
        "10001_10001_3": "10001", "10001_10001_4": "10001",
    }  # fmt: skip


@pytest.mark.parametrize("dates", [("2020", "2021"), ("2020-05-01", "2021_01_07"), ("1", "2")])
def test_prefixes_that_are_dates_or_numbers_are_one_patients(
    tmp_path: Path, dates: tuple[str, str]
) -> None:
    study(tmp_path / "anna", *(f"{date}_{s}" for date in dates for s in ("T1", "T2")))
    assert patients(tmp_path, BRAIN) == {f"anna_{date}": "anna" for date in dates}


def test_numbers_in_a_collection_are_patients(tmp_path: Path) -> None:
    study(tmp_path / "images", "001_T1", "001_T2", "002_T1", "002_T2")
    assert set(patients(tmp_path, BRAIN).values()) == {"images_001", "images_002"}


def test_a_prefix_that_joins_a_patients_folder_changes_no_name(tmp_path: Path) -> None:
    study(tmp_path / "anna", "2020_T1", "2020_T2", "2021_T1", "2021_T2")
    study(tmp_path / "anna", "bob_T1", "bob_T2")
    assert patients(tmp_path, BRAIN) == {
        "anna_2020": "anna", "anna_2021": "anna", "anna_bob": "anna_bob",
    }  # fmt: skip


def test_bids_sessions_are_of_their_subject(tmp_path: Path) -> None:
    study(tmp_path / "sub-01" / "anat", "sub-01_T1w")
    study(tmp_path / "sub-02" / "ses-1" / "anat", "sub-02_ses-1_T2w")
    study(tmp_path / "sub-02" / "ses-2" / "anat", "sub-02_ses-2_T2w")
    assert patients(tmp_path, BRAIN) == {
        "sub-01": "sub-01", "sub-02_ses-1": "sub-02", "sub-02_ses-2": "sub-02",
    }  # fmt: skip


def test_subjects_of_two_bids_datasets_are_different_patients(tmp_path: Path) -> None:
    study(tmp_path / "one" / "sub-01" / "anat", "sub-01_T1w")
    study(tmp_path / "two" / "sub-01" / "anat", "sub-01_T1w")
    assert set(patients(tmp_path, BRAIN).values()) == {"one_sub-01", "two_sub-01"}


def test_flat_bids_sessions_are_of_their_subject(tmp_path: Path) -> None:
    study(tmp_path, "sub-01_ses-1_T1w", "sub-01_ses-2_T1w", "sub-02_T1w")
    assert set(patients(tmp_path, BRAIN).values()) == {"sub-01", "sub-02"}


def test_examinations_with_one_patient_id_are_of_one_patient_wherever_they_lie(
    tmp_path: Path,
) -> None:
    dicom_series(tmp_path / "p" / "a", "t2_tra", study_uid="1.1", StudyDate="20190101")
    dicom_series(tmp_path / "p" / "a", "t2_tra", study_uid="1.2", StudyDate="20200101",
                 names=("x.dcm", "y.dcm", "z.dcm"))  # fmt: skip
    dicom_series(tmp_path / "q", "t2_tra", study_uid="1.3")
    dicom_series(tmp_path / "r", "t2_tra", study_uid="1.4", PatientID="bob")
    assert patients(tmp_path, PROSTATE) == {
        "p_a_20190101": "anna", "p_a_20200101": "anna", "q": "anna", "r": "bob",
    }  # fmt: skip


@pytest.mark.parametrize("nobody", ["", "ANONYMOUS"])
def test_a_patient_id_that_names_nobody_leaves_it_to_the_folders(
    tmp_path: Path, nobody: str
) -> None:
    dicom_series(tmp_path / "anna" / "2019", "t2_tra", study_uid="1.1", PatientID=nobody)
    dicom_series(tmp_path / "anna" / "2020", "t2_tra", study_uid="1.2", PatientID=nobody)
    dicom_series(tmp_path / "bob", "t2_tra", study_uid="1.3", PatientID=nobody)
    assert patients(tmp_path, PROSTATE) == {
        "anna_2019": "anna", "anna_2020": "anna", "bob": "bob",
    }  # fmt: skip


def test_the_patients_of_chaos_are_its_folders(tmp_path: Path) -> None:
    for number in ("1", "2"):
        dicom_series(tmp_path / "MR" / number / "T2SPIR" / "DICOM_anon", "T2", study_uid=number)
    assert patients(tmp_path, ABDOMEN) == {"MR_1": "MR_1", "MR_2": "MR_2"}


def test_the_cases_of_an_archive_are_patients(tmp_path: Path) -> None:
    for name in ("prostate_00", "prostate_01"):
        nifti(tmp_path / "Task05" / "imagesTr" / f"{name}.nii.gz", ramp(4, 4, 3, 2))
    described = {"modality": {"0": "T2", "1": "ADC"}}
    (tmp_path / "Task05" / "dataset.json").write_text(json.dumps(described))
    assert set(patients(tmp_path, PROSTATE).values()) == {
        "Task05_prostate_00", "Task05_prostate_01",
    }  # fmt: skip


def test_a_case_list_may_name_the_patient(tmp_path: Path) -> None:
    study(tmp_path / "scans", "1", "2", "3")
    cases = [
        {"id": "a19", "sequences": {"T1": "scans/1.nii.gz"}, "patient": "anna"},
        {"id": "a20", "sequences": {"T1": "scans/2.nii.gz"}, "patient": "anna"},
        {"id": "bob", "sequences": {"T1": "scans/3.nii.gz"}},
    ]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    assert patients(tmp_path, BRAIN) == {"a19": "anna", "a20": "anna", "bob": "bob"}


def test_an_upload_is_of_the_patient_its_name_tells(tmp_path: Path) -> None:
    path = nifti(tmp_path / "sub-02_ses-1_T1w.nii.gz")
    assert read_one_file(path, BRAIN, "sub-02_ses-1_T1w").patient == "sub-02"
    assert read_one_file(path, BRAIN, "anna").patient == "anna"
