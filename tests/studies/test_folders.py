"""The files of one folder are a study, or one study for each prefix."""

from pathlib import Path

import pytest

from tests.studies.tiny_files import nifti, ramp
from zeus_app.studies.folders import read_folder
from zeus_app.studies.layout import Entry
from zeus_app.targets import load_target
from zeus_app.targets.naming import Names
from zeus_app.types import RejectedStudy, StudyCandidate

BRAIN = Names.of(load_target("brain_tumour"))
PROSTATE = Names.of(load_target("prostate"))
Found = list[StudyCandidate | RejectedStudy]


def read(folder: Path, *stems: str, is_root: bool = False, names: Names = BRAIN) -> Found:
    entries = [Entry(nifti(folder / f"{s}.nii.gz"), folder, s) for s in sorted(stems)]
    return read_folder(folder, "anna", entries, names, is_root=is_root)


def sequences(found: Found) -> dict[str, dict[str, str]]:
    """Study -> sequence -> file; no sequence for a rejected study."""
    return {
        study.name: {}
        if isinstance(study, RejectedStudy)
        else {name: s.files[0].name.removesuffix(".nii.gz") for name, s in study.sources.items()}
        for study in found
    }


def only(found: Found) -> StudyCandidate:
    (study,) = found
    assert isinstance(study, StudyCandidate)
    return study


def reasons(study: StudyCandidate) -> dict[str, str]:
    return {u.files[0].name.removesuffix(".nii.gz"): u.reason for u in study.unused}


def test_a_folder_is_a_study(tmp_path: Path) -> None:
    assert sequences(read(tmp_path, "T1", "T1_post", "x_FLAIR")) == {
        "anna": {"FLAIR": "x_FLAIR", "T1Gd": "T1_post", "T1": "T1"}
    }


def test_prefixes_that_repeat_sequences_are_patients(tmp_path: Path) -> None:
    assert sequences(read(tmp_path, "bo_T1", "bo_T2", "cy_T1", "cy_T2")) == {
        "anna_bo": {"T1": "bo_T1", "T2": "bo_T2"},
        "anna_cy": {"T1": "cy_T1", "T2": "cy_T2"},
    }


def test_numbers_of_series_are_no_patients(tmp_path: Path) -> None:
    assert sequences(read(tmp_path, "03_FLAIR", "04_T1", "05_T1_post")).keys() == {"anna"}


def test_in_the_studies_folder_each_prefix_is_a_patient(tmp_path: Path) -> None:
    assert sequences(read(tmp_path, "bo_T1", "cy_FLAIR", is_root=True)) == {
        "bo": {"T1": "bo_T1"}, "cy": {"FLAIR": "cy_FLAIR"},
    }  # fmt: skip


@pytest.mark.parametrize("patient", ["SUB_001", "PD_012", "Dixon", "MC", "sub-01_ses-2", "T1-x"])
def test_the_prefix_of_a_study_is_the_patient_whatever_words_it_holds(
    tmp_path: Path, patient: str
) -> None:
    found = read(tmp_path, f"{patient}_FLAIR", f"{patient}_T2", is_root=True)
    assert only(found).name == patient
    assert only(found).prefix == patient


def test_masks_belong_to_the_study_and_are_no_images(tmp_path: Path) -> None:
    study = only(read(tmp_path, "T1", "T1_seg", "brainmask"))
    assert [path.name for path in study.masks] == ["T1_seg.nii.gz", "brainmask.nii.gz"]
    assert study.unused == ()


def test_masks_go_to_the_patient_of_their_prefix(tmp_path: Path) -> None:
    found = read(tmp_path, "bo_T1", "bo_seg", "cy_T1", "cy_seg", is_root=True)
    masks = {s.name: [p.name for p in s.masks] for s in found if isinstance(s, StudyCandidate)}
    assert masks == {"bo": ["bo_seg.nii.gz"], "cy": ["cy_seg.nii.gz"]}


def test_every_other_image_is_listed_with_the_reason(tmp_path: Path) -> None:
    study = only(read(tmp_path, "T1", "T1_bet", "T1_map", "T1_pre_post", "notes"))
    assert reasons(study) == {
        "T1_bet": "T1.nii.gz is used for T1; this one: processed",
        "T1_map": "T1_map.nii.gz shows map (T1_map), no sequence of the target",
        "T1_pre_post": "T1_pre_post.nii.gz could be T1 or T1Gd. Rename it, or list the study in"
        " cases.yaml",
        "notes": "notes.nii.gz: its name tells no sequence. Rename it, add its word to the aliases"
        " in the target's YAML, or list the study in cases.yaml",
    }


def test_the_evidence_names_file_and_words(tmp_path: Path) -> None:
    study = only(read(tmp_path, "anna_AX_T1_POST"))
    assert study.evidence == {"T1Gd": "anna_AX_T1_POST.nii.gz: T1, POST"}


def test_images_that_are_equally_good_are_not_used(tmp_path: Path) -> None:
    (study,) = read(tmp_path, "T1_1", "T1_2")
    assert isinstance(study, RejectedStudy)
    assert study.reason.startswith("several images for T1, and none is better: T1_1.nii.gz, T1_2")


def test_of_equal_names_the_finer_image_is_used(tmp_path: Path) -> None:
    nifti(tmp_path / "T1_2.nii.gz", ramp(4, 4, 9))
    entries = [Entry(tmp_path / "T1_2.nii.gz", tmp_path, "T1_2")]
    entries.insert(0, Entry(nifti(tmp_path / "T1_1.nii.gz"), tmp_path, "T1_1"))
    found = read_folder(tmp_path, "anna", entries, BRAIN, is_root=False)
    assert sequences(found) == {"anna": {"T1": "T1_2"}}


def test_an_image_of_no_contrast_is_not_second_choice_for_t1gd(tmp_path: Path) -> None:
    assert sequences(read(tmp_path, "T1_post", "T1_post_sag"))["anna"] == {"T1Gd": "T1_post"}


def test_the_highest_b_value_is_used(tmp_path: Path) -> None:
    found = read(tmp_path, "dwi_b50", "dwi_b800", "dwi_b1400", names=PROSTATE)
    assert sequences(found) == {"anna": {"HBV": "dwi_b1400"}}


def test_a_folder_without_sequences_is_one_problem(tmp_path: Path) -> None:
    (study,) = read(tmp_path, "x", "y")
    assert isinstance(study, RejectedStudy)
    assert "(FLAIR, T1Gd, T1, T2): x.nii.gz, y.nii.gz. Add the word" in study.reason
    assert not study.only_masks


def test_a_folder_of_masks_alone_is_told_apart(tmp_path: Path) -> None:
    (study,) = read(tmp_path, "a_seg", "b_mask")
    assert isinstance(study, RejectedStudy)
    assert study.only_masks


def test_in_the_studies_folder_each_file_without_sequence_is_a_problem(tmp_path: Path) -> None:
    assert sequences(read(tmp_path, "x", "y", is_root=True)) == {"x": {}, "y": {}}


def test_a_file_without_prefix_beside_patients_is_a_problem_of_its_own(tmp_path: Path) -> None:
    found = read(tmp_path, "bo_T1", "cy_T1", "notes", is_root=True)
    assert sequences(found) == {"bo": {"T1": "bo_T1"}, "cy": {"T1": "cy_T1"}, "notes": {}}


def test_the_folders_name_at_the_start_is_not_the_sequence(tmp_path: Path) -> None:
    found = read(tmp_path / "T2_anna", "T2_anna_FLAIR", "T2_anna_T1")
    assert sequences(found) == {"anna": {"FLAIR": "T2_anna_FLAIR", "T1": "T2_anna_T1"}}


def test_the_start_that_all_names_share_is_not_the_sequence(tmp_path: Path) -> None:
    found = read(tmp_path, "T2_anna_FLAIR", "T2_anna_T1", "T2_anna_T2")
    assert set(sequences(found)["anna"]) == {"FLAIR", "T1", "T2"}


def test_time_points_called_t1_and_t2_are_studies(tmp_path: Path) -> None:
    found = read(tmp_path, "P_T1_t1", "P_T1_flair", "P_T2_t1", "P_T2_flair", is_root=True)
    assert sequences(found) == {
        "P_T1": {"T1": "P_T1_t1", "FLAIR": "P_T1_flair"},
        "P_T2": {"T1": "P_T2_t1", "FLAIR": "P_T2_flair"},
    }


def test_a_t1_that_may_be_a_time_point_is_listed(tmp_path: Path) -> None:
    study = only(read(tmp_path, "P_T1_flair", "P_T2_flair"))
    assert reasons(study) == {
        "P_T1_flair": "P_T1_flair.nii.gz: T1 may be the weighting or a time point. List the study"
        " in cases.yaml"
    }


def test_patients_called_like_words_of_the_field_are_not_mixed_with_others(tmp_path: Path) -> None:
    assert sequences(read(tmp_path, "Adams_T1", "Long_FLAIR", "KM_T2", is_root=True)) == {
        "Adams": {"T1": "Adams_T1"}, "Long": {"FLAIR": "Long_FLAIR"}, "KM": {"T2": "KM_T2"},
    }  # fmt: skip


def test_below_the_studies_folder_such_patients_need_two_sequences(tmp_path: Path) -> None:
    found = read(tmp_path / "a", "Adams_T1", "Adams_T2", "Long_T1", "Long_T2")
    assert sequences(found).keys() == {"anna_Adams", "anna_Long"}
    assert sequences(read(tmp_path / "b", "x_T1", "tse_T2")).keys() == {"anna"}


@pytest.mark.parametrize("stems", [("AX_T1", "anna_FLAIR"), ("T1", "Long_T2", "anna_FLAIR")])
def test_a_file_without_any_patients_name_keeps_the_folder_together(
    tmp_path: Path, stems: tuple[str, ...]
) -> None:
    assert len(read(tmp_path, *stems, is_root=True)) == 1
