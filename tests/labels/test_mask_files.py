import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk

from tests.studies.tiny_files import dicom_series, nifti, ramp, study
from zeus_app.errors import InputError
from zeus_app.labels.files import write_label
from zeus_app.labels.mask_files import ImportedLabel, find_masks, read_foreign_mask
from zeus_app.studies.find import find_studies
from zeus_app.targets import Target, load_target
from zeus_app.types import StudyProblem, Volume

BRAIN = load_target("brain_tumour")
PROSTATE = load_target("prostate")
ABDOMEN = load_target("abdomen")
MS = load_target("ms_lesion")


def mask(path: Path, *values: float, dtype: type = np.uint8) -> Path:
    array: npt.NDArray[Any] = np.zeros((4, 4, 3), dtype)
    array.flat[: len(values)] = values
    return nifti(path, array)


def imported(root: Path, target: Target, pattern: str | None = None) -> dict[str, str]:
    """Study -> name of its mask, or the reason why it has none."""
    return {
        file.study_id if isinstance(file, ImportedLabel) else file.id: (
            file.path.name if isinstance(file, ImportedLabel) else file.reason
        )
        for file in find_masks(root, target, pattern=pattern)
    }


def test_the_targets_mask_is_found_beside_the_sequences(tmp_path: Path) -> None:
    study(tmp_path / "p", "p_FLAIR", "p_T1")
    mask(tmp_path / "p" / "p_lesion_gt.nii.gz", 1)
    mask(tmp_path / "p" / "p_brainmask.nii.gz", 1)
    mask(tmp_path / "p" / "p_brain_mask.nii.gz", 1)
    assert imported(tmp_path, MS) == {"p": "p_lesion_gt.nii.gz"}


def test_a_mask_may_be_named_after_the_patient_id_of_dicom_files_in_the_root(
    tmp_path: Path,
) -> None:
    dicom_series(tmp_path, "t2_tra", PatientID="P0815")
    (study_id,) = find_studies(tmp_path, PROSTATE).studies
    affine = np.diag([-1.5, -2, 3, 1])
    nifti(tmp_path / "labels" / "P0815.nii.gz", np.ones((5, 4, 3), np.uint8), affine)
    assert imported(tmp_path, PROSTATE) == {study_id: "P0815.nii.gz"}


def test_finding_studies_imports_nothing(tmp_path: Path) -> None:
    study(tmp_path / "p", "FLAIR", "seg")
    assert set(find_studies(tmp_path, BRAIN).studies["p"].sources) == {"FLAIR"}


def test_every_foreign_value_becomes_the_label_it_means(tmp_path: Path) -> None:
    path = mask(tmp_path / "OTMultiClass.nii.gz", 0, 1, 2, 3, 4, dtype=np.float32)
    label = read_foreign_mask(path, BRAIN)
    assert label.array.dtype == np.uint8
    assert label.array.flat[:6].tolist() == [0, 1, 1, 1, 1, 0]


def test_labels_stored_as_imprecise_floats_are_rounded(tmp_path: Path) -> None:
    path = mask(tmp_path / "label.nii.gz", 0.0001, 2.9999, 4.0, dtype=np.float32)
    assert read_foreign_mask(path, ABDOMEN).array.flat[:3].tolist() == [0, 3, 4]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((1, 5, 9), "values 5, 9 are no label of abdomen"),
        ((-1, 1), "values -1 are no label"),
        ((0.5, 1), "not whole numbers"),
        ((np.nan, 1), "not whole numbers"),
    ],
)
def test_values_without_a_meaning_are_refused(
    tmp_path: Path, values: tuple[float, ...], message: str
) -> None:
    path = mask(tmp_path / "label.nii.gz", *values, dtype=np.float32)
    with pytest.raises(InputError, match=message):
        read_foreign_mask(path, ABDOMEN)


def test_a_bad_mask_is_a_problem_and_hides_no_other(tmp_path: Path) -> None:
    for patient, value in (("p", 9), ("q", 1)):
        study(tmp_path / patient, "t2spir")
        mask(tmp_path / patient / "label.nii.gz", value)
    result = imported(tmp_path, ABDOMEN)
    assert "values 9 are no label" in result["p"]
    assert result["q"] == "label.nii.gz"


def test_the_exact_name_wins(tmp_path: Path) -> None:
    study(tmp_path / "p", "t2spir")
    mask(tmp_path / "p" / "label.nii.gz", 1)
    mask(tmp_path / "p" / "label_old.nii.gz", 1)
    assert imported(tmp_path, ABDOMEN) == {"p": "label.nii.gz"}


def test_several_masks_wait_for_a_pattern(tmp_path: Path) -> None:
    study(tmp_path / "p", "p_t2w")
    mask(tmp_path / "p" / "labels" / "p_gland_reader1.nii.gz", 1)
    mask(tmp_path / "p" / "labels" / "p_gland_reader2.nii.gz", 1)
    assert "2 masks fit" in imported(tmp_path, PROSTATE)["p"]
    assert imported(tmp_path, PROSTATE, "*reader2*") == {"p": "p_gland_reader2.nii.gz"}
    assert imported(tmp_path, PROSTATE, "p/labels/*1.nii.gz") == {"p": "p_gland_reader1.nii.gz"}


def test_a_consensus_is_taken_before_its_readers(tmp_path: Path) -> None:
    study(tmp_path / "p", "FLAIR")
    for name in ("seg_rater1", "seg_rater2", "consensus", "seg"):
        mask(tmp_path / "p" / f"{name}.nii.gz", 1)
    assert imported(tmp_path, MS) == {"p": "consensus.nii.gz"}


def test_one_reader_alone_is_taken_and_of_two_none(tmp_path: Path) -> None:
    for patient in ("p", "q"):
        study(tmp_path / patient, "FLAIR")
        mask(tmp_path / patient / "lesion_rater1.nii.gz", 1)
    mask(tmp_path / "q" / "lesion_rater2.nii.gz", 1)
    result = imported(tmp_path, MS)
    assert result["p"] == "lesion_rater1.nii.gz"
    assert "2 masks fit: lesion_rater1.nii.gz, lesion_rater2.nii.gz" in result["q"]


def test_a_corrected_mask_is_not_passed_over_for_the_first_one(tmp_path: Path) -> None:
    study(tmp_path / "p", "FLAIR")
    mask(tmp_path / "p" / "seg.nii.gz", 1)
    mask(tmp_path / "p" / "seg_corrected.nii.gz", 1)
    assert "2 masks fit: seg.nii.gz, seg_corrected.nii.gz" in imported(tmp_path, BRAIN)["p"]


def label_map(*values: int) -> Volume:
    array = np.zeros((4, 4, 3), np.uint8)
    array.flat[: len(values)] = values
    return Volume(array, np.eye(4))


@pytest.mark.parametrize("name", ["Segmentation-label.nrrd", "Segmentation.seg.nrrd", "seg.nii"])
def test_label_maps_of_itk_snap_and_slicer_are_read(tmp_path: Path, name: str) -> None:
    study(tmp_path / "p", "FLAIR")
    write_label(tmp_path / "p" / name, label_map(1), names={"Segment_1": 1})
    assert imported(tmp_path, BRAIN) == {"p": name}


def test_segments_named_after_labels_are_those_labels(tmp_path: Path) -> None:
    names = {"spleen": 1, "liver": 2}
    write_label(tmp_path / "a.seg.nrrd", label_map(1, 2), names=names)
    assert read_foreign_mask(tmp_path / "a.seg.nrrd", ABDOMEN).array.flat[:2].tolist() == [4, 1]
    write_label(tmp_path / "b.seg.nrrd", label_map(1, 3), names={**names, "aorta": 3})
    with pytest.raises(InputError, match="values 3 are no label of abdomen"):
        read_foreign_mask(tmp_path / "b.seg.nrrd", ABDOMEN)


def test_layers_and_colours_are_refused_with_what_to_do(tmp_path: Path) -> None:
    layers = sitk.GetImageFromArray(np.zeros((3, 4, 4, 2), np.uint8), isVector=True)
    sitk.WriteImage(layers, str(tmp_path / "a.seg.nrrd"))
    colours = np.zeros((4, 4, 3), [(c, np.uint8) for c in "RGB"])
    nifti(tmp_path / "b.nii.gz", colours)
    nifti(tmp_path / "c.nii.gz", np.zeros((4, 4, 3, 4), np.uint8))
    for name in ("a.seg.nrrd", "b.nii.gz", "c.nii.gz"):
        with pytest.raises(InputError, match=r"one value per label.*merge the layers"):
            read_foreign_mask(tmp_path / name, BRAIN)


def test_a_machines_mask_is_imported_only_by_name(tmp_path: Path) -> None:
    study(tmp_path / "p", "p_t2w")
    mask(tmp_path / "p" / "labels" / "p__whole_gland-AI-Bosma22b.nii.gz", 1)
    assert "only masks that a machine drew" in imported(tmp_path, PROSTATE)["p"]
    assert imported(tmp_path, PROSTATE, "*Bosma*") == {"p": "p__whole_gland-AI-Bosma22b.nii.gz"}


def test_a_mask_of_something_else_is_left_alone(tmp_path: Path) -> None:
    study(tmp_path / "p", "p_t2w")
    mask(tmp_path / "p" / "labels" / "p__csPCa_human_expert-original.nii.gz", 3)
    assert imported(tmp_path, PROSTATE) == {}


def test_masks_go_to_the_study_of_their_prefix(tmp_path: Path) -> None:
    study(tmp_path, "a_T1", "a-2_T1")
    mask(tmp_path / "a_seg.nii.gz", 1)
    mask(tmp_path / "a-2_seg.nii.gz", 1)
    assert imported(tmp_path, BRAIN) == {"a": "a_seg.nii.gz", "a-2": "a-2_seg.nii.gz"}


def test_masks_may_lie_in_a_folder_beside_the_images(tmp_path: Path) -> None:
    study(tmp_path / "images", "a_T1", "b_T1", "b_T2", "a_T2")
    mask(tmp_path / "labels" / "a_seg.nii.gz", 1)
    assert imported(tmp_path, BRAIN) == {"images_a": "a_seg.nii.gz"}


def test_masks_beside_the_studies_folders_are_found_by_the_folders_names(tmp_path: Path) -> None:
    for patient in ("p1", "p1-2", "p3"):
        study(tmp_path / patient, "T1")
    mask(tmp_path / "labels" / "p1.nii.gz", 1)
    mask(tmp_path / "labels" / "p1-2_seg.nii.gz", 1)
    assert imported(tmp_path, BRAIN) == {"p1": "p1.nii.gz", "p1-2": "p1-2_seg.nii.gz"}


def test_a_folder_of_labels_names_its_files_by_the_patient_alone(tmp_path: Path) -> None:
    study(tmp_path / "images", "a_T1", "b_T1")
    mask(tmp_path / "labels" / "a.nii.gz", 1)
    mask(tmp_path / "labels" / "b.nii.gz", 1)
    assert imported(tmp_path, BRAIN) == {"images_a": "a.nii.gz", "images_b": "b.nii.gz"}


def test_an_archives_labels_are_those_of_labels_tr(tmp_path: Path) -> None:
    nifti(tmp_path / "imagesTr" / "prostate_00.nii.gz", ramp(4, 4, 3, 2))
    mask(tmp_path / "labelsTr" / "prostate_00.nii.gz", 1, 2)
    (tmp_path / "dataset.json").write_text(json.dumps({"modality": {"0": "T2", "1": "ADC"}}))
    (label,) = find_masks(tmp_path, PROSTATE)
    assert isinstance(label, ImportedLabel)
    assert label.study_id == "prostate_00"
    assert label.volume.array.flat[:3].tolist() == [1, 1, 0]


def test_a_case_list_names_its_label(tmp_path: Path) -> None:
    nifti(tmp_path / "17.nii.gz")
    mask(tmp_path / "18.nii.gz", 1)
    cases = [{"id": "anna", "sequences": {"T2": "17.nii.gz"}, "label": "18.nii.gz"}]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    assert imported(tmp_path, PROSTATE) == {"anna": "18.nii.gz"}


def test_a_label_that_a_case_list_names_in_vain_is_a_problem(tmp_path: Path) -> None:
    nifti(tmp_path / "17.nii.gz")
    cases = [{"id": "anna", "sequences": {"T2": "17.nii.gz"}, "label": "gone.nii.gz"}]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    (problem,) = find_masks(tmp_path, PROSTATE)
    assert isinstance(problem, StudyProblem)
    assert "gone.nii.gz cannot be read" in problem.reason


def test_a_mask_beside_dicom_belongs_to_the_examination(tmp_path: Path) -> None:
    dicom_series(tmp_path / "p" / "dicom", "t2_tra")
    affine = np.diag([-1.5, -2.0, 3.0, 1.0])  # the series' columns run to L, its rows to P
    nifti(tmp_path / "p" / "gland.nii.gz", np.ones((5, 4, 3), np.uint8), affine)
    assert imported(tmp_path, PROSTATE) == {"p": "gland.nii.gz"}


def test_a_mask_of_another_grid_is_left_out_with_both_grids(tmp_path: Path) -> None:
    study(tmp_path / "p", "p_t2w")
    nifti(tmp_path / "p" / "gland.nii.gz", np.ones((10, 10, 3), np.uint8))
    reason = imported(tmp_path, PROSTATE)["p"]
    assert "10×10×3 voxels" in reason
    assert "T2: 4×4×3 voxels" in reason
    assert "resample it" in reason


@pytest.mark.parametrize(("shift", "taken"), [(4.0, False), (0.5, False), (0.05, True)])
def test_a_mask_must_lie_where_its_image_does(tmp_path: Path, shift: float, taken: bool) -> None:
    study(tmp_path / "p", "p_t2w")
    affine = np.eye(4)
    affine[0, 3] = shift  # mm; voxels are 1 mm
    nifti(tmp_path / "p" / "gland.nii.gz", np.ones((4, 4, 3), np.uint8), affine)
    assert (imported(tmp_path, PROSTATE)["p"] == "gland.nii.gz") is taken


def test_a_mask_may_lie_on_any_sequence_s_grid_in_any_storage_order(tmp_path: Path) -> None:
    study(tmp_path / "p", "p_t2w")
    nifti(tmp_path / "p" / "p_adc.nii.gz", ramp(2, 2, 3), np.diag([2.0, 2, 1, 1]))
    flipped = np.array([[-2.0, 0, 0, 2], [0, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    nifti(tmp_path / "p" / "gland.nii.gz", np.ones((2, 2, 3), np.uint8), flipped)
    assert imported(tmp_path, PROSTATE) == {"p": "gland.nii.gz"}


def test_a_study_without_masks_is_passed_over(tmp_path: Path) -> None:
    study(tmp_path / "p", "FLAIR")
    assert imported(tmp_path, BRAIN) == {}


def test_a_mask_whose_name_is_no_utf8_is_told_and_never_opened(tmp_path: Path) -> None:
    study(tmp_path / "p", "FLAIR")
    (tmp_path / "p" / os.fsdecode(b"M\xfcller_lesion.nrrd")).write_bytes(b"NRRD0004")
    reason = imported(tmp_path, MS)["p"]
    assert r"M\xfcller_lesion.nrrd, a name that is no UTF-8" in reason


def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    study(tmp_path / "p", "FLAIR")
    os.mkfifo(tmp_path / "p" / "lesion.nrrd")
    assert "no regular file" in imported(tmp_path, MS)["p"]
