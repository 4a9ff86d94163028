import shutil
from pathlib import Path
from typing import Any, NoReturn

import nibabel
import numpy as np
import pytest

from tests.studies.tiny_files import files_by_sequence, nifti, ramp, reasons, sequences, study
from zeus_app.errors import InputError
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target

BRAIN = load_target("brain_tumour")
PROSTATE = load_target("prostate")
ABDOMEN = load_target("abdomen")
MS = load_target("ms_lesion")


def test_a_folder_is_a_study(tmp_path: Path) -> None:
    study(tmp_path / "Brats18_x", "Brats18_x_t1ce", "Brats18_x_flair", "Brats18_x_seg")
    study(tmp_path / "pat3", "Flair_subtrMeanDivStd", "T1c_subtrMeanDivStd", "OTMultiClass")
    assert files_by_sequence(find_studies(tmp_path, BRAIN)) == {
        "Brats18_x": {"FLAIR": "Brats18_x_flair.nii.gz", "T1Gd": "Brats18_x_t1ce.nii.gz"},
        "pat3": {"FLAIR": "Flair_subtrMeanDivStd.nii.gz", "T1Gd": "T1c_subtrMeanDivStd.nii.gz"},
    }


def test_sequences_come_in_the_targets_order(tmp_path: Path) -> None:
    study(tmp_path / "p", "T2", "T1", "FLAIR")
    files = find_studies(tmp_path, BRAIN).studies["p"]
    assert list(files.sources) == ["FLAIR", "T1", "T2"]


def test_one_sequence_makes_a_study(tmp_path: Path) -> None:
    study(tmp_path / "chaos_1", "t2spir", "label")
    assert sequences(find_studies(tmp_path, ABDOMEN)) == {"chaos_1": {"T2-SPIR"}}


def test_masks_and_resource_forks_are_no_sequences(tmp_path: Path) -> None:
    study(tmp_path / "p", "p_FLAIR", "p_FLAIR_mask", "p_brainmask", "p_lesion_gt", "p_T2_seg")
    (tmp_path / "p" / "._p_T1.nii.gz").write_bytes(b"fork")
    catalog = find_studies(tmp_path, MS)
    assert sequences(catalog) == {"p": {"FLAIR"}}
    assert catalog.problems == ()


def test_prefixes_divide_a_flat_folder(tmp_path: Path) -> None:
    study(tmp_path, "anna_T1", "anna_FLAIR", "anna_seg", "bob_T1", "bob_FLAIR", "bob-2_T1")
    assert sequences(find_studies(tmp_path, BRAIN)) == {
        "anna": {"T1", "FLAIR"}, "bob": {"T1", "FLAIR"}, "bob-2": {"T1"},
    }  # fmt: skip


def test_patients_with_one_different_sequence_each_are_not_mixed_in_the_root(
    tmp_path: Path,
) -> None:
    study(tmp_path, "anna_T1", "bob_FLAIR")
    assert sequences(find_studies(tmp_path, BRAIN)) == {"anna": {"T1"}, "bob": {"FLAIR"}}


def test_a_flat_folder_may_lie_below_the_root(tmp_path: Path) -> None:
    study(tmp_path / "images", "anna_T1", "anna_T2", "bob_T1", "bob_T2")
    assert set(find_studies(tmp_path, BRAIN).studies) == {"images_anna", "images_bob"}


def test_the_root_may_itself_be_one_study(tmp_path: Path) -> None:
    root = study(tmp_path / "case9", "T1", "FLAIR", "brainmask")
    assert sequences(find_studies(root, BRAIN)) == {"case9": {"T1", "FLAIR"}}


def test_numbered_series_of_one_patient_stay_one_study(tmp_path: Path) -> None:
    study(tmp_path / "p", "03_flair", "04_t1", "05_t1ce")
    assert sequences(find_studies(tmp_path, BRAIN)) == {"p": {"FLAIR", "T1", "T1Gd"}}


@pytest.mark.parametrize("name", ["T2_patient", "T1-group_7", "flair study"])
def test_a_patient_named_like_a_sequence_does_not_confuse(tmp_path: Path, name: str) -> None:
    study(tmp_path / name, f"{name}_FLAIR", f"{name}_T1", f"{name}_T2", f"{name}_dwi")
    (only,) = sequences(find_studies(tmp_path, BRAIN)).values()
    assert only == {"FLAIR", "T1", "T2"}


def test_a_shared_prefix_named_like_a_sequence_does_not_confuse(tmp_path: Path) -> None:
    study(tmp_path / "p", "T2_x_FLAIR", "T2_x_T1", "T2_x_dwi")
    study(tmp_path / "q", "T2_bet", "T2_flair_bet")
    catalog = sequences(find_studies(tmp_path, BRAIN))
    assert catalog == {"p": {"FLAIR", "T1"}, "q": {"FLAIR", "T2"}}


def test_a_name_with_two_sequences_is_ignored_where_both_have_clear_files(tmp_path: Path) -> None:
    study(tmp_path / "p", "T1w", "T2w", "T1wDividedByT2w")
    assert files_by_sequence(find_studies(tmp_path, BRAIN))["p"] == {
        "T1": "T1w.nii.gz",
        "T2": "T2w.nii.gz",
    }


def test_a_name_with_two_sequences_is_listed_and_not_used(tmp_path: Path) -> None:
    study(tmp_path / "p", "FLAIR", "T1_x_T2")
    files = find_studies(tmp_path, BRAIN).studies["p"]
    assert set(files.sources) == {"FLAIR"}
    (unused,) = files.unused
    assert unused.files == (tmp_path / "p" / "T1_x_T2.nii.gz",)
    assert "could be T2 or T1" in unused.reason


def test_an_image_registered_to_another_shows_its_own_sequence(tmp_path: Path) -> None:
    study(tmp_path / "p", "T2", "T1_to_T2")
    assert sequences(find_studies(tmp_path, BRAIN)) == {"p": {"T1", "T2"}}


def test_bids_subjects_and_sessions_are_studies(tmp_path: Path) -> None:
    study(tmp_path / "sub-01" / "anat", "sub-01_T1w", "sub-01_ce-gadolinium_T1w", "sub-01_FLAIR")
    nifti(tmp_path / "sub-01" / "func" / "sub-01_bold.nii.gz", ramp(3, 3, 3, 5))
    study(tmp_path / "sub-02" / "ses-1" / "anat", "sub-02_ses-1_T2w")
    study(tmp_path / "sub-02" / "ses-2" / "anat", "sub-02_ses-2_T2w")
    study(tmp_path / "derivatives" / "sub-01" / "anat", "sub-01_desc-preproc_T1w")
    catalog = find_studies(tmp_path, BRAIN)
    assert sequences(catalog) == {
        "sub-01": {"T1", "T1Gd", "FLAIR"}, "sub-02_ses-1": {"T2"}, "sub-02_ses-2": {"T2"},
    }  # fmt: skip
    assert catalog.problems == ()


def test_flat_bids_names_are_grouped_by_subject(tmp_path: Path) -> None:
    study(tmp_path, "sub-01_acq-3D_T1w", "sub-01_run-1_FLAIR", "sub-02_T1w")
    catalog = sequences(find_studies(tmp_path, BRAIN))
    assert catalog == {"sub-01": {"T1", "FLAIR"}, "sub-02": {"T1"}}


def test_the_axial_file_is_preferred_to_other_planes(tmp_path: Path) -> None:
    study(tmp_path / "p", "3_t2_tse_sag", "4_t2_tse_tra", "5_t2_tse_cor", "7_adc")
    assert files_by_sequence(find_studies(tmp_path, PROSTATE))["p"] == {
        "T2": "4_t2_tse_tra.nii.gz", "ADC": "7_adc.nii.gz",
    }  # fmt: skip


def test_the_exact_name_is_used_and_a_derived_one_is_listed(tmp_path: Path) -> None:
    study(tmp_path / "p", "FLAIR", "FLAIR_n4", "T1")
    files = find_studies(tmp_path, BRAIN).studies["p"]
    assert set(files.sources) == {"FLAIR", "T1"}
    assert files.evidence["FLAIR"] == "FLAIR.nii.gz: FLAIR"
    (unused,) = files.unused
    assert unused.reason == "FLAIR.nii.gz is used for FLAIR; this one: processed"


def test_a_true_tie_leaves_out_that_sequence_alone(tmp_path: Path) -> None:
    study(tmp_path / "p", "01_FLAIR", "02_FLAIR", "03_T1")
    files = find_studies(tmp_path, BRAIN).studies["p"]
    assert set(files.sources) == {"T1"}
    assert {path.name for unused in files.unused for path in unused.files} == {
        "01_FLAIR.nii.gz", "02_FLAIR.nii.gz",
    }  # fmt: skip
    assert "none is better: 01_FLAIR.nii.gz, 02_FLAIR.nii.gz" in files.unused[0].reason


def test_a_study_without_a_wanted_sequence_is_a_problem_with_its_files(
    tmp_path: Path,
) -> None:
    study(tmp_path / "p", "dwi", "swi")
    (problem,) = find_studies(tmp_path, BRAIN).problems
    assert problem.id == "p"
    assert {path.name for path in problem.files} == {"dwi.nii.gz", "swi.nii.gz"}
    assert "FLAIR, T1Gd, T1, T2" in problem.reason


def test_a_stray_file_in_a_flat_root_is_a_problem_of_its_own(tmp_path: Path) -> None:
    study(tmp_path, "anna_T1", "bob_T1", "scan17")
    catalog = find_studies(tmp_path, BRAIN)
    assert set(catalog.studies) == {"anna", "bob"}
    assert set(reasons(catalog)) == {"scan17"}


def test_an_empty_folder_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    study(tmp_path / "q", "FLAIR")
    catalog = find_studies(tmp_path, BRAIN)
    assert set(catalog.studies) == {"q"}
    assert "empty folder" in reasons(catalog)["p"]


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
def test_a_truncated_file_is_a_problem_already_when_found(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32)
    path = nifti(tmp_path / "p" / f"FLAIR{suffix}", noise)
    path.write_bytes(path.read_bytes()[:-1000])
    study(tmp_path / "q", "FLAIR")
    catalog = find_studies(tmp_path, BRAIN)
    assert set(catalog.studies) == {"q"}
    assert f"FLAIR{suffix} cannot be read" in reasons(catalog)["p"]


@pytest.mark.parametrize("content", [b"", b"no image", b"\x1f\x8b\x08\x00"])
def test_a_file_without_a_header_is_a_problem(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "FLAIR.nii.gz").write_bytes(content)
    assert "cannot be read" in reasons(find_studies(tmp_path, BRAIN))["p"]


def test_a_dangling_link_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "FLAIR.nii.gz").symlink_to(tmp_path / "annexed")
    assert "cannot be read" in reasons(find_studies(tmp_path, BRAIN))["p"]


@pytest.mark.parametrize(
    ("shape", "reason"), [((4, 4, 3, 2, 2), "5-D"), ((4, 4, 3, 7), "7 volumes in one file")]
)
def test_more_than_three_axes_are_a_problem(
    tmp_path: Path, shape: tuple[int, ...], reason: str
) -> None:
    nifti(tmp_path / "p" / "FLAIR.nii.gz", ramp(*shape))
    assert reason in reasons(find_studies(tmp_path, BRAIN))["p"]


def test_a_new_study_never_takes_the_id_that_another_one_had(tmp_path: Path) -> None:
    study(tmp_path / "a b", "FLAIR")
    assert set(find_studies(tmp_path, BRAIN).studies) == {"a_b"}
    study(tmp_path / "a_b", "FLAIR")  # with this id it would get the labels of "a b"
    catalog = find_studies(tmp_path, BRAIN)
    assert catalog.studies == {}
    assert [problem.files[0].parent.name for problem in catalog.problems] == ["a b", "a_b"]


def test_two_studies_that_only_become_alike_are_both_reported(tmp_path: Path) -> None:
    study(tmp_path / "a b", "FLAIR")
    study(tmp_path / "a+b", "FLAIR")
    catalog = find_studies(tmp_path, BRAIN)
    assert catalog.studies == {}
    assert [problem.id for problem in catalog.problems] == ["a_b", "a_b"]


def test_hidden_skipped_and_mask_folders_are_not_looked_into(tmp_path: Path) -> None:
    study(tmp_path / "p", "FLAIR")
    for folder in (".cache", "state", "labels", "p/labels", "p/dicom", "__MACOSX"):
        study(tmp_path / folder, "T1")
    catalog = find_studies(tmp_path, BRAIN, skip=[tmp_path / "state"])
    assert sequences(catalog) == {"p": {"FLAIR"}}
    assert catalog.problems == ()


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    study(tmp_path / "p", "FLAIR")
    (tmp_path / "p" / "again").symlink_to(tmp_path)
    (tmp_path / "p" / "self").symlink_to(tmp_path / "p")
    assert set(find_studies(tmp_path, BRAIN).studies) == {"p"}


def test_linked_studies_are_found(tmp_path: Path) -> None:
    study(tmp_path / "far" / "p9", "FLAIR")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "anna").symlink_to(tmp_path / "far" / "p9")
    assert set(find_studies(tmp_path / "root", BRAIN).studies) == {"anna"}


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_studies(tmp_path / "nowhere", BRAIN)


def test_finding_many_studies_opens_each_file_once_and_reads_no_voxel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = study(tmp_path / "p00", "FLAIR", "T1", "T2", "T1ce")
    for number in range(1, 50):
        shutil.copytree(first, tmp_path / f"p{number:02d}")
    opened: list[Path] = []
    open_file = Path.open

    def counted(path: Path, *args: Any) -> Any:
        opened.append(path)
        return open_file(path, *args)

    def no_voxels(*_: object) -> NoReturn:
        raise AssertionError("voxels were read")

    monkeypatch.setattr(Path, "open", counted)
    monkeypatch.setattr(nibabel.arrayproxy.ArrayProxy, "__array__", no_voxels)
    monkeypatch.setattr(nibabel.arrayproxy.ArrayProxy, "__getitem__", no_voxels)
    assert len(find_studies(tmp_path, BRAIN).studies) == 50
    assert len(opened) == len(set(opened)) == 200


def test_sequences_that_share_no_space_are_a_problem_before_a_voxel_is_read(
    tmp_path: Path,
) -> None:
    study(tmp_path / "p", "p_t2w")
    away = np.eye(4)
    away[2, 3] = 500  # mm
    nifti(tmp_path / "p" / "p_adc.nii.gz", ramp(4, 4, 3), away)
    catalog = find_studies(tmp_path, PROSTATE)
    assert catalog.studies == {}
    assert "ADC" in reasons(catalog)["p"]
    assert "share 0.0% of the smaller" in reasons(catalog)["p"]


def test_an_affine_too_flat_to_compare_is_a_problem_and_hides_no_other_study(
    tmp_path: Path,
) -> None:
    study(tmp_path / "p", "p_t2w")
    flat = np.eye(4)
    flat[:3, 2] = [1, 0, 1e-4]  # the third axis all but along the first
    nifti(tmp_path / "p" / "p_adc.nii.gz", ramp(4, 4, 3), flat)
    study(tmp_path / "q", "q_t2w")
    catalog = find_studies(tmp_path, PROSTATE)
    assert list(catalog.studies) == ["q"]
    assert "three axes point in different directions" in reasons(catalog)["p"]


def test_one_slice_inside_a_whole_head_shares_its_space(tmp_path: Path) -> None:
    nifti(tmp_path / "p" / "p_t2w.nii.gz", ramp(100, 100, 100))
    inside = np.diag([5.0, 5, 1, 1])
    inside[:3, 3] = [20, 20, 77]
    nifti(tmp_path / "p" / "p_adc.nii.gz", ramp(8, 8, 1), inside)
    assert sequences(find_studies(tmp_path, PROSTATE)) == {"p": {"T2", "ADC"}}
