"""The places where masks lie, and the study that each belongs to."""

from pathlib import Path

import numpy as np
import pytest

from tests.studies.tiny_files import dicom_series, nifti, study
from zeus_app.labels.mask_files import ImportedLabel, find_masks, search_masks
from zeus_app.targets import load_target

BRAIN = load_target("brain_tumour")
MASK = np.ones((4, 4, 3), np.uint8)


def mask(root: Path, *paths: str) -> None:
    for path in paths:
        nifti(root / path, MASK)


def taken(root: Path) -> dict[str, str]:
    """Study -> its mask, below the root."""
    return {
        found.study_id: found.path.relative_to(root).as_posix()
        for found in find_masks(root, BRAIN)
        if isinstance(found, ImportedLabel)
    }


def not_taken(root: Path) -> dict[str, str]:
    """Mask below the root -> why it is not taken."""
    return {
        path.relative_to(root).as_posix(): why
        for report in search_masks(root, BRAIN)
        for path, why in report.unused.items()
    }


@pytest.mark.parametrize(
    "path",
    [
        "p1/Segmentation.nii.gz",
        "p1/p1_segmentations.nii.gz",
        "p1/ROI.nii",
        "p1/manual_masks/anything_mask.nii.gz",
        "p1/masks/p1.nii.gz",
        "p1/seg/reader/mask.nii.gz",
        "p1/drawn/lesion_mask.nii.gz",
        "labels/p1.nii.gz",
        "labels/p1_FLAIR.nii.gz",
        "labels/p1/seg.nii.gz",
        "labels/p1/mask.nii.gz",
        "manual_masks/p1_mask.nii.gz",
        "gt/p1/p1.nii.gz",
        "derivatives/labels/p1/anat/p1_lesion-manual.nii.gz",
        "derivatives/manual_masks/p1/p1_seg.nii.gz",
        "derivatives/our_pipeline/p1/p1_label-lesion_mask.nii.gz",
        "Annotations/2024/p1_annotation.nii.gz",
    ],
)
def test_a_mask_lies_in_a_usual_place_below_or_beside_its_study(tmp_path: Path, path: str) -> None:
    for name in ("p1", "p10", "p2"):
        study(tmp_path / name, "FLAIR", "T1")
    mask(tmp_path, path)
    assert taken(tmp_path) == {"p1": path}


@pytest.mark.parametrize(
    "path",
    [
        "sub-01/ses-1/anat/sub-01_ses-1_label-lesion_mask.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_space-FLAIR_dseg.nii.gz",
        "sub-01/ses-1/sub-01_ses-1_seg.nii.gz",
        "derivatives/labels/sub-01/ses-1/anat/sub-01_ses-1_FLAIR_lesion-manual.nii.gz",
        "derivatives/labels/sub-01/ses-1/anat/sub-01_ses-1_label-lesion_mask.nii.gz",
        "derivatives/lesions/sub-01_ses-1_label-lesion_mask.nii.gz",
        "labels/sub-01_ses-1.nii.gz",
    ],
)
def test_a_mask_of_bids_belongs_to_its_subject_and_session(tmp_path: Path, path: str) -> None:
    for subject, session in ((1, 1), (1, 2), (2, 1)):
        name = f"sub-{subject:02d}_ses-{session}"
        folder = tmp_path / f"sub-{subject:02d}" / f"ses-{session}" / "anat"
        study(folder, f"{name}_FLAIR", f"{name}_T1w")
    mask(tmp_path, path)
    assert taken(tmp_path) == {"sub-01_ses-1": path}


def test_a_mask_of_a_patient_without_images_is_nobody_else_s(tmp_path: Path) -> None:
    study(tmp_path / "sub-01" / "ses-1" / "anat", "sub-01_ses-1_FLAIR")
    paths = (
        "derivatives/labels/sub-03/ses-1/anat/sub-03_ses-1_label-lesion_mask.nii.gz",
        "labels/p9_seg.nii.gz",
        "labels/seg.nii.gz",
    )
    mask(tmp_path, *paths)
    assert taken(tmp_path) == {}
    assert not_taken(tmp_path) == dict.fromkeys(paths, "no study that can be used is called so")


def test_a_mask_named_after_a_folder_without_usable_images_is_not_its_neighbour_s(
    tmp_path: Path,
) -> None:
    study(tmp_path / "p1", "FLAIR")
    (tmp_path / "p1-2").mkdir()
    mask(tmp_path, "labels/p1-2_seg.nii.gz")
    assert taken(tmp_path) == {}


def test_a_folder_around_all_studies_need_not_be_repeated(tmp_path: Path) -> None:
    for name in ("anna", "bert"):
        study(tmp_path / "UCSF" / name, "FLAIR")
    mask(tmp_path, "labels/anna.nii.gz", "labels/UCSF/bert.nii.gz")
    assert taken(tmp_path) == {
        "UCSF_anna": "labels/anna.nii.gz",
        "UCSF_bert": "labels/UCSF/bert.nii.gz",
    }


def test_of_two_sites_with_the_same_patient_the_folders_tell_which(tmp_path: Path) -> None:
    for site in ("Bonn", "Oslo"):
        study(tmp_path / site / "p1", "FLAIR")
    mask(tmp_path, "labels/Oslo/p1.nii.gz", "labels/p1.nii.gz")
    assert taken(tmp_path) == {"Oslo_p1": "labels/Oslo/p1.nii.gz"}
    assert list(not_taken(tmp_path)) == ["labels/p1.nii.gz"]


def test_a_mask_may_be_named_after_the_whole_id_of_its_study(tmp_path: Path) -> None:
    for site in ("Bonn", "Oslo"):
        study(tmp_path / site / "p1", "FLAIR")
    mask(tmp_path, "labels/Oslo_p1.nii.gz")
    assert taken(tmp_path) == {"Oslo_p1": "labels/Oslo_p1.nii.gz"}


def test_a_mask_that_several_studies_may_own_is_nobody_s(tmp_path: Path) -> None:
    for uid in ("1.2.3", "1.2.4"):
        dicom_series(tmp_path / "p" / uid.replace(".", ""), "flair", study_uid=uid, StudyDate=uid)
    mask(tmp_path, "p/seg.nii.gz")
    assert taken(tmp_path) == {}


def test_a_mask_near_its_study_counts_before_one_farther_away(tmp_path: Path) -> None:
    study(tmp_path / "p1", "FLAIR")
    mask(tmp_path, "p1/seg.nii.gz", "p1/backup/deep/seg.nii.gz")
    assert taken(tmp_path) == {"p1": "p1/seg.nii.gz"}
    assert not_taken(tmp_path) == {"p1/backup/deep/seg.nii.gz": "another mask was taken"}


def test_a_folder_with_studies_is_no_folder_for_masks(tmp_path: Path) -> None:
    study(tmp_path / "segmentation_challenge" / "p1", "FLAIR", "T1_bias")
    assert taken(tmp_path) == {}
    assert not_taken(tmp_path) == {}


def test_masks_of_a_state_folder_and_hidden_ones_are_not_seen(tmp_path: Path) -> None:
    study(tmp_path / "p1", "FLAIR")
    mask(tmp_path, "state/labels/p1.nii.gz", "p1/.backup/seg.nii.gz", "p1/._seg.nii.gz")
    (report,) = search_masks(tmp_path, BRAIN, skip=(tmp_path / "state",))
    assert report.files == ()


def test_links_in_a_circle_are_followed_once(tmp_path: Path) -> None:
    study(tmp_path / "p1", "FLAIR")
    mask(tmp_path, "p1/masks/seg.nii.gz")
    (tmp_path / "p1" / "masks" / "again").symlink_to(tmp_path)
    assert taken(tmp_path) == {"p1": "p1/masks/seg.nii.gz"}


@pytest.mark.parametrize("name", ["seg.mif", "p1_mask.vtk", "Segmentation.npz"])
def test_a_mask_in_a_format_that_is_not_read_is_told(tmp_path: Path, name: str) -> None:
    study(tmp_path / "p1", "FLAIR")
    (tmp_path / "p1" / name).write_bytes(b"x")
    assert not_taken(tmp_path)[f"p1/{name}"].startswith("not readable: ")
