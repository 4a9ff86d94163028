"""Folders are read as commit 2ea7737 read them; the expected values are its answers."""

from collections import defaultdict
from pathlib import Path

import pytest

from zeus_app.studies.former_folders import former_patient, former_studies
from zeus_app.studies.former_words import FormerWords
from zeus_app.studies.walk import study_name
from zeus_app.targets import load_target

ROOT = Path("/data/all_patients")
WORDS = FormerWords.of(load_target("brain_tumour"))

LAYOUTS = {
    "EGD-1/1_T1/NIFTI/T1 EGD-1/4_FLAIR/NIFTI/FLAIR EGD-1/MASK/NIFTI/MASK": [
        ("EGD-1_1_T1_NIFTI", "EGD-1", "T1"), ("EGD-1_4_FLAIR_NIFTI", "EGD-1", "FLAIR"),
    ],
    "data/T1/anna_T1 data/T1/bert_T1": [
        ("data_T1_anna", "data_T1_anna", "T1"), ("data_T1_bert", "data_T1_bert", "T1"),
    ],
    "anna_brain_T1 anna_brain_FLAIR bert_T1": [
        ("anna_brain", "anna_brain", "FLAIR T1"), ("bert", "bert", "T1"),
    ],
    "all/anna_pre-T1 all/anna_pre-FLAIR all/bert-T1": [
        ("all_anna_pre", "all_anna_pre", "FLAIR T1"), ("all_bert", "all_bert", "T1"),
    ],
    "anna/20200101_T1 anna/20200101_FLAIR anna/20210101_T1": [
        ("anna_20200101", "anna", "FLAIR T1"), ("anna_20210101", "anna", "T1"),
    ],
    "sub-01/ses-1/anat/sub-01_ses-1_T1w": [("sub-01_ses-1", "sub-01", "T1")],
    "HGG/anna/T1 ABC/bert/T1 Müller/T1": [
        ("ABC_bert", "ABC", "T1"), ("HGG_anna", "HGG_anna", "T1"), ("Muller", "Muller", "T1"),
    ],
    "p/T1_tra p/T1_sag p/T1_seg p/t2map": [("p", "p", "T1")],
    "patient07/patient07T1POST patient07/patient07_T1": [("patient07", "patient07", "T1 T1Gd")],
    "T1 FLAIR": [("all_patients", "all_patients", "FLAIR T1")],
    # Studies that could not be used.
    "p/03_flair p/04_t1 p/05_t1": [],
    "p/T1 p/t1w p/FLAIR": [],
    "x/t2_brain_T1 x/FLAIR": [],
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_studies_of_a_layout(layout: str) -> None:
    folders: dict[Path, list[Path]] = defaultdict(list)
    for name in sorted(layout.split()):
        path = ROOT / f"{name}.nii.gz"
        folders[path.parent].append(path)
    found = [
        (old.id, old.patient, " ".join(sorted(old.images)))
        for folder, files in folders.items()
        for old in former_studies(ROOT, folder, study_name(ROOT, folder), files, WORDS)
    ]
    assert sorted(found) == LAYOUTS[layout]


def test_of_an_axial_and_a_sagittal_image_the_axial_was_used() -> None:
    files = [ROOT / "p" / name for name in ("T1_sag.nii.gz", "T1_tra.nii.gz")]
    (study,) = former_studies(ROOT, ROOT / "p", "p", files, WORDS)
    assert study.images == {"T1": files[1]}


@pytest.mark.parametrize(
    ("study_id", "folder", "patient"),
    [
        ("anna", "anna", "anna"),
        ("ABC_anna", "ABC/anna", "ABC"),
        ("train_mr_anna_v1", "train/mr/anna/v1", "train_mr_anna"),
        ("x_sub-01", "x/sub-01", "x_sub-01"),
        ("anna_ses-2", "anna/ses-2", "anna"),
    ],
)
def test_the_patient_of_a_study_in_its_own_folder(study_id: str, folder: str, patient: str) -> None:
    assert former_patient(study_id, ROOT / folder, "", ROOT) == patient
