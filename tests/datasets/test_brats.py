"""Folders of BraTS by the names of each year."""

from pathlib import Path

import numpy as np
import pytest

from tests.datasets import archives
from zeus_app.datasets.brats import patient_of
from zeus_app.datasets.kinds import kind_of, open_dataset

NEW_WORDS = ("-t2f", "-t1n", "-t1c", "-t2w")
NUMBER_OF = {"FLAIR": 0, "T1": 1, "T1Gd": 2, "T2": 3}


def new_case(root: Path, name: str = "BraTS-GLI-00000-000") -> None:
    archives.brats(root, name, words=NEW_WORDS, mask="-seg", values=(1, 2, 3))


@pytest.mark.parametrize(
    ("case", "words", "mask"),
    [
        ("BraTS20_Training_001", ("_flair", "_t1", "_t1ce", "_t2"), "_seg"),
        ("BraTS2021_00000", ("_flair", "_t1", "_t1ce", "_t2"), "_seg"),
        ("BraTS-GLI-00000-000", NEW_WORDS, "-seg"),
    ],
)
def test_the_words_of_each_year_tell_the_sequence(
    tmp_path: Path, case: str, words: tuple[str, ...], mask: str
) -> None:
    archives.brats(tmp_path, case, words=words, mask=mask)
    (found,) = open_dataset(tmp_path).cases
    for name, channel in NUMBER_OF.items():
        numbers = archives.picture(channel=channel, case=case)
        np.testing.assert_array_equal(found.sources[name].load().array, numbers)
    np.testing.assert_array_equal(found.truth().array, archives.mask_of(case) > 0)


@pytest.mark.parametrize("is_new", [False, True])
def test_the_enhancing_tumour_is_4_until_2021_and_3_since_2023(
    tmp_path: Path, is_new: bool
) -> None:
    case = "BraTS-GLI-00000-000" if is_new else "BraTS20_Training_001"
    if is_new:
        new_case(tmp_path)
    else:
        archives.brats(tmp_path)
    dataset = open_dataset(tmp_path, "brain_tumour_parts")
    enhancing = dataset.target.label_values["enhancing tumour"]
    drawn = archives.mask_of(case) == 3
    np.testing.assert_array_equal(dataset.cases[0].truth().array == enhancing, drawn)


def test_other_data_with_the_same_words_are_not_taken_for_brats(tmp_path: Path) -> None:
    archives.brats(tmp_path, "patient07")
    assert kind_of(tmp_path) is None


def test_folders_of_grades_are_searched(tmp_path: Path) -> None:
    archives.brats(tmp_path / "HGG", "Brats18_TCIA01_131_1")
    archives.brats(tmp_path / "LGG", "Brats18_2013_0_1")
    names = [case.id for case in open_dataset(tmp_path).cases]
    assert names == ["Brats18_2013_0_1", "Brats18_TCIA01_131_1"]


def test_the_oddly_named_mask_of_case_355_is_its_truth(tmp_path: Path) -> None:
    folder = archives.brats(tmp_path, "BraTS20_Training_355", mask=None)
    archives.save(folder / "W39_1998.09.19_Segm.nii", archives.marks(values=(1, 2, 4)))
    assert open_dataset(tmp_path).cases[0].truth().array.any()


def test_cases_for_validation_are_test_cases(tmp_path: Path) -> None:
    archives.brats(tmp_path / "train")
    archives.brats(tmp_path / "valid", "BraTS20_Validation_001", mask=None)
    parts = {case.id: case.part for case in open_dataset(tmp_path).cases}
    assert parts == {"BraTS20_Training_001": "train", "BraTS20_Validation_001": "test"}


@pytest.mark.parametrize(
    ("case", "patient"),
    [
        ("BraTS-GLI-00005-100", "BraTS-GLI-00005"),
        ("Brats18_TCIA01_131_1", "Brats18_TCIA01_131"),
        ("Brats17_2013_2_1", "Brats17_2013_2"),
        ("BraTS19_CBICA_AAB_1", "BraTS19_CBICA_AAB"),
        ("BraTS20_Training_001", "BraTS20_Training_001"),
        ("BraTS2021_00000", "BraTS2021_00000"),
    ],
)
def test_the_number_of_an_examination_is_no_part_of_the_patient(case: str, patient: str) -> None:
    assert patient_of(case) == patient


def test_a_second_image_of_one_sequence_is_a_problem(tmp_path: Path) -> None:
    folder = archives.brats(tmp_path)
    archives.save(folder / "BraTS20_Training_001_flair.nii", archives.picture())
    (problem,) = open_dataset(tmp_path).problems
    assert problem.case == "BraTS20_Training_001"
    assert "flair" in problem.text
