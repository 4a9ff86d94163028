"""Former ids and patients follow the files, as far as it is known."""

from pathlib import Path

import pytest

from tests.studies.tiny_files import dicom_series, nifti, study
from zeus_app.studies.find import find_studies
from zeus_app.studies.former_ids import FormerIds
from zeus_app.targets import load_target

BRAIN = load_target("brain_tumour")


def former(root: Path) -> FormerIds:
    return find_studies(root, BRAIN).former


def test_all_files_of_a_study_tell_former_ids_those_that_are_not_used_too(tmp_path: Path) -> None:
    study(tmp_path, "EGD-1/1_T1/NIFTI/T1", "EGD-1/4_FLAIR/NIFTI/FLAIR", "EGD-1/5_FLAIR/NIFTI/FLAIR")
    found = former(tmp_path)
    assert found.ids == {
        "EGD-1_1_T1_NIFTI": {"EGD-1"},
        "EGD-1_4_FLAIR_NIFTI": {"EGD-1"},
        "EGD-1_5_FLAIR_NIFTI": {"EGD-1"},
    }
    assert found.patients == {}  # EGD-1 then and now


def test_a_former_id_names_its_sequence_where_the_study_has_others(tmp_path: Path) -> None:
    study(tmp_path, "EGD-1/1_T1/NIFTI/T1", "EGD-1/4_FLAIR/NIFTI/FLAIR")
    assert former(tmp_path).sequences == {"EGD-1_1_T1_NIFTI": "T1", "EGD-1_4_FLAIR_NIFTI": "FLAIR"}


def test_a_former_id_of_a_whole_study_names_no_sequence(tmp_path: Path) -> None:
    study(tmp_path, "Müller/T1", "Müller/FLAIR", "Jörg/T1")
    found = former(tmp_path)
    assert found.ids == {"Muller": {"Muller-fa6a2313"}, "Jorg": {"Jorg-422775f1"}}
    assert found.sequences == {}


def test_patients_of_several_former_studies_become_one(tmp_path: Path) -> None:
    study(tmp_path, *(f"IXI-{s}/{p}-{s}" for s in ("T1", "T2") for p in ("IXI002", "IXI012")))
    found = former(tmp_path)
    assert found.patients == {
        "IXI-T1_IXI002": {"IXI002"}, "IXI-T2_IXI002": {"IXI002"},
        "IXI-T1_IXI012": {"IXI012"}, "IXI-T2_IXI012": {"IXI012"},
    }  # fmt: skip


def test_a_folder_that_was_one_patient_may_be_several(tmp_path: Path) -> None:
    study(tmp_path, "ABC/anna/T1", "ABC/bert/T1")
    found = former(tmp_path)
    assert found.ids == {}
    assert found.patients == {"ABC": {"ABC_anna", "ABC_bert"}}


def test_two_layouts_at_once(tmp_path: Path) -> None:
    study(tmp_path, "Müller/1_T1/NIFTI/T1", "Müller/4_FLAIR/NIFTI/FLAIR")
    now = {"Muller-fa6a2313"}
    found = former(tmp_path)
    assert found.ids == {"Muller_1_T1_NIFTI": now, "Muller_4_FLAIR_NIFTI": now, "Muller": now}
    assert found.patients == {"Muller": now}


def test_a_present_id_that_others_had_is_contested(tmp_path: Path) -> None:
    study(tmp_path, "Müller/T1", "Muller/T1")
    found = former(tmp_path)
    assert found.ids == {}
    assert found.contested == {"Muller": {"Muller-fa6a2313"}}
    assert found.patients == {"Muller": {"Muller", "Muller-fa6a2313"}}


def test_of_an_archive_and_a_case_list_no_folder_was_a_study(tmp_path: Path) -> None:
    nifti(tmp_path / "cases" / "T1" / "t1.nii.gz")
    (tmp_path / "cases" / "cases.yaml").write_text("- {id: 010, sequences: {T1: T1/t1.nii.gz}}\n")
    nifti(tmp_path / "archive" / "imagesTr" / "a_0000.nii.gz")
    (tmp_path / "archive" / "dataset.json").write_text('{"channel_names": {"0": "FLAIR"}}')
    assert former(tmp_path / "archive").ids == {}
    found = former(tmp_path / "cases")
    assert found.ids == {"8": {"010"}}
    assert found.patients == {"8": {"010"}}
    assert found.patient_ids == frozenset()


def test_only_former_ids_of_dicom_may_be_patient_ids(tmp_path: Path) -> None:
    dicom_series(tmp_path, "T1", study_uid="1.2", PatientID="Roe 1")
    study(tmp_path, "EGD-1/1_T1/NIFTI/T1")
    assert former(tmp_path).patient_ids == {"Roe_1"}


@pytest.mark.parametrize(("folder", "patient"), [("", "ANON"), ("ABC/x", "ABC")])
def test_the_patient_of_dicom_files_that_name_none(
    tmp_path: Path, folder: str, patient: str
) -> None:
    dicom_series(tmp_path / folder, "T1", study_uid="1.2", PatientID="ANON")
    catalog = find_studies(tmp_path, BRAIN)
    (now,) = catalog.studies.values()
    assert catalog.former.patients.get(patient, {patient}) == {now.patient}
