"""Files in a folder for each sequence are placed in the folder of their study. No file is read."""

from collections import defaultdict
from pathlib import Path

import pytest

from zeus_app.studies.layout import Entry, is_container, place_files
from zeus_app.targets import load_target
from zeus_app.targets.naming import Names

ROOT = Path("/root")
NAMES = Names.of(load_target("brain_tumour"))


def placed(*paths: str) -> dict[str, dict[str, tuple[str, str | None]]]:
    """Folder of the study -> file -> its text and its prefix."""
    files: dict[Path, list[Path]] = defaultdict(list)
    for path in (ROOT / path for path in paths):
        files[path.parent].append(path)
    found = place_files(ROOT, files, NAMES)
    return {
        str(folder.relative_to(ROOT)): {
            str(entry.path.relative_to(ROOT)): (entry.text, entry.prefix) for entry in entries
        }
        for folder, entries in found.items()
    }


def texts(*paths: str) -> dict[str, list[str]]:
    """Folder of the study -> the texts of its files."""
    found = placed(*paths)
    return {folder: [text for text, _ in files.values()] for folder, files in found.items()}


def test_files_side_by_side_stay_where_they_are() -> None:
    assert placed("anna/T1.nii.gz", "anna/deep/x.nii.gz", "root.nii") == {
        "anna": {"anna/T1.nii.gz": ("T1", None)},
        "anna/deep": {"anna/deep/x.nii.gz": ("x", None)},
        ".": {"root.nii": ("root", None)},
    }


def test_a_folder_for_each_sequence_of_a_patient_is_a_part_of_the_name() -> None:
    assert placed("anna/1_T1/scan.nii.gz", "anna/2_FLAIR/scan.nii.gz") == {
        "anna": {
            "anna/1_T1/scan.nii.gz": ("1_T1 scan", ""),
            "anna/2_FLAIR/scan.nii.gz": ("2_FLAIR scan", ""),
        }
    }


def test_containers_below_the_sequences_folder_are_passed() -> None:
    assert texts("anna/1_T1/NIFTI/scan.nii.gz", "anna/2_T2/resources/NIFTI/s.nii.gz") == {
        "anna": ["1_T1 NIFTI scan", "2_T2 resources NIFTI s"]
    }


def test_containers_above_the_sequences_folder_are_passed() -> None:
    assert texts("anna/scans/4-FLAIR/image.nii.gz", "anna/scans/5-T1/image.nii.gz") == {
        "anna": ["scans 4-FLAIR image", "scans 5-T1 image"]
    }


def test_a_container_alone_moves_no_file() -> None:
    assert placed("anna/NIFTI/T1.nii.gz") == {"anna/NIFTI": {"anna/NIFTI/T1.nii.gz": ("T1", None)}}


def test_numbered_folders_of_scans_are_series() -> None:
    assert texts("anna/scans/1/T1.nii", "anna/scans/2/T2.nii") == {"anna/scans": ["1 T1", "2 T2"]}


def test_numbered_containers_with_an_image_each_are_series() -> None:
    assert texts("anna/anat1/T1.nii", "anna/anat2/T2.nii") == {"anna": ["anat1 T1", "anat2 T2"]}


def test_numbered_containers_with_the_same_image_are_visits() -> None:
    assert set(texts("anna/scan1/T1.nii", "anna/scan2/T1.nii")) == {"anna/scan1", "anna/scan2"}


def test_a_sequences_folder_above_the_patients_is_a_part_of_the_name() -> None:
    assert placed("T1/anna.nii.gz", "T1/bob.nii.gz", "FLAIR/anna.nii.gz", "FLAIR/bob.nii.gz") == {
        ".": {
            "T1/anna.nii.gz": ("T1 anna", "anna"),
            "T1/bob.nii.gz": ("T1 bob", "bob"),
            "FLAIR/anna.nii.gz": ("FLAIR anna", "anna"),
            "FLAIR/bob.nii.gz": ("FLAIR bob", "bob"),
        }
    }


def test_patients_may_have_a_folder_below_the_sequences_folder() -> None:
    assert placed("T1/anna/a.nii", "T1/bob/b.nii", "T2/anna/c.nii", "T2/bob/d.nii") == {
        "anna": {"T1/anna/a.nii": ("T1 a", ""), "T2/anna/c.nii": ("T2 c", "")},
        "bob": {"T1/bob/b.nii": ("T1 b", ""), "T2/bob/d.nii": ("T2 d", "")},
    }


def test_a_files_own_word_for_the_sequence_is_not_the_patients() -> None:
    found = placed("T1/anna_T1.nii", "T1/bob_t1_brain.nii", "T2/anna_T2.nii", "T2/bob_T2.nii")
    assert {path: prefix for path, (_, prefix) in found["."].items()} == {
        "T1/anna_T1.nii": "anna", "T1/bob_t1_brain.nii": "bob", "T2/anna_T2.nii": "anna",
        "T2/bob_T2.nii": "bob",
    }  # fmt: skip


def test_processing_is_no_part_of_the_patients_name() -> None:
    found = placed("T1/anna_stripped.nii", "T1/bob_stripped.nii")
    assert [prefix for _, prefix in found["."].values()] == ["anna", "bob"]


def test_a_folder_whose_files_are_other_sequences_is_a_patient() -> None:
    assert placed("T1-group_7/x_FLAIR.nii", "T1-group_7/x_T2.nii").keys() == {"T1-group_7"}


def test_a_t1_folder_may_hold_images_after_contrast() -> None:
    assert texts("anna/T1/pre_T1.nii", "anna/T2/x.nii")["anna"][0] == "T1 pre_T1"
    assert set(texts("anna/T1/T1_gd.nii", "anna/T2/x.nii")) == {"anna"}


def test_masks_do_not_decide_what_a_folder_is() -> None:
    found = texts("anna/1_T1/scan.nii", "anna/1_T1/FLAIR_mask.nii", "anna/2_T2/scan.nii")
    assert found == {"anna": ["1_T1 scan", "1_T1 FLAIR_mask", "2_T2 scan"]}


def test_a_patients_folder_may_be_called_like_a_sequence() -> None:
    found = texts("T1-group_7/FLAIR/x.nii", "T1-group_7/T1/y.nii", "T1-group_8/FLAIR/z.nii")
    assert found.keys() == {"T1-group_7", "T1-group_8"}


def test_the_parents_name_in_the_folders_name_is_not_its_sequence() -> None:
    found = texts("T2_anna/T2_anna_T1/a.nii", "T2_anna/T2_anna_FLAIR/b.nii")
    assert found == {"T2_anna": ["T2_anna_T1 a", "T2_anna_FLAIR b"]}


@pytest.mark.parametrize(
    "name", ["NIFTI", "anat", "anat2", "scans", "Raw Data", "dicom_anon", "MR-1"]
)
def test_containers_are_known_by_name(name: str) -> None:
    assert is_container(name)


@pytest.mark.parametrize("name", ["anna", "T1", "MRX", "2", "visit1", "scanner"])
def test_other_folders_are_none(name: str) -> None:
    assert not is_container(name)


def test_an_entry_is_moved_if_the_folders_tell_its_patient() -> None:
    assert not Entry(ROOT / "a.nii", ROOT, "a").is_moved
    assert Entry(ROOT / "T1" / "a.nii", ROOT, "T1 a", prefix="").is_moved
