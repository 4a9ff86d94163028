"""CHAOS: DICOM images, PNG masks, and a truth for each protocol on its own grid."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.datasets import archives
from tests.datasets.archives import T1_PLAN, T2_PLAN
from zeus_app.datasets.dataset import Case
from zeus_app.datasets.kinds import open_dataset
from zeus_app.types import LPS_TO_RAS


@pytest.fixture
def case(tmp_path: Path) -> Case:
    archives.chaos(tmp_path)
    return open_dataset(tmp_path).cases[0]


def test_slices_that_were_taken_upwards_keep_their_order(case: Case) -> None:
    np.testing.assert_array_equal(case.truth().array, archives.organs(T2_PLAN.shape))


@pytest.mark.parametrize("sequence", ["T1-in", "T1-out"])
def test_slices_that_were_taken_downwards_are_turned_with_their_images(
    case: Case, sequence: str
) -> None:
    drawn = archives.organs(T1_PLAN.shape)
    np.testing.assert_array_equal(case.truth(sequence).array, drawn[:, :, ::-1])


@pytest.mark.parametrize("sequence", ["T2-SPIR", "T1-in", "T1-out"])
def test_the_mask_of_an_organ_covers_its_pixels(case: Case, sequence: str) -> None:
    image, truth = case.sources[sequence].load(), case.truth(sequence)
    np.testing.assert_array_equal(np.floor(image.array / 5000), truth.array)


@pytest.mark.parametrize(
    ("sequence", "folder"),
    [("T2-SPIR", "T2SPIR/DICOM_anon"), ("T1-out", "T1DUAL/DICOM_anon/OutPhase")],
)
def test_a_truth_lies_where_itk_places_the_series(
    tmp_path: Path, case: Case, sequence: str, folder: str
) -> None:
    path = tmp_path / "Train_Sets" / "MR" / "1" / folder
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
    image = reader.Execute()
    truth = case.truth(sequence)
    assert truth.array.shape == image.GetSize()
    liver = np.argwhere(truth.array == 1)[0]
    there_mm = truth.affine_ras @ [*liver, 1]
    index = image.TransformPhysicalPointToIndex((LPS_TO_RAS @ there_mm)[:3].tolist())
    assert image[index] // 5000 == 1


def test_the_reference_is_t2_spir(case: Case) -> None:
    assert case.reference == "T2-SPIR"
    assert tuple(case.sources) == ("T2-SPIR", "T1-in", "T1-out")


def test_without_t2_spir_the_truth_is_that_of_t1(tmp_path: Path) -> None:
    archives.chaos(tmp_path)
    target = open_dataset(tmp_path).target.only(("T1-in", "T1-out"))
    case = open_dataset(tmp_path, target).cases[0]
    assert case.truth().array.shape == T1_PLAN.shape


def test_cases_of_the_test_sets_have_no_truth(tmp_path: Path) -> None:
    archives.chaos(tmp_path, "10")
    archives.chaos(tmp_path, "4", part="Test_Sets")
    found = [(case.id, case.part, bool(case.truths)) for case in open_dataset(tmp_path).cases]
    assert found == [("4", "test", False), ("10", "train", True)]


@pytest.mark.parametrize("below", ["", "Train_Sets", "Train_Sets/MR"])
def test_any_folder_of_the_archive_may_be_named(tmp_path: Path, below: str) -> None:
    archives.chaos(tmp_path)
    assert [case.id for case in open_dataset(tmp_path / below).cases] == ["1"]


def test_a_patient_without_images_is_a_problem(tmp_path: Path) -> None:
    archives.chaos(tmp_path)
    (tmp_path / "Train_Sets" / "MR" / "2" / "T2SPIR" / "DICOM_anon").mkdir(parents=True)
    (problem,) = open_dataset(tmp_path).problems
    assert problem.case == "2"


def test_masks_may_be_named_after_the_images_out_of_phase(tmp_path: Path) -> None:
    """The masks of odd numbers belong to the images out of phase, in the same order."""
    ground = archives.chaos(tmp_path) / "T1DUAL" / "Ground"
    for number in range(2, 12, 2):
        path = ground / f"IMG-0004-{number:05d}.png"
        path.rename(ground / f"IMG-0004-{number - 1:05d}.png")
    case = open_dataset(tmp_path).cases[0]
    drawn = archives.organs(T1_PLAN.shape)
    for sequence in ("T1-in", "T1-out"):
        np.testing.assert_array_equal(case.truth(sequence).array, drawn[:, :, ::-1])
