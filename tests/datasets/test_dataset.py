"""The promise of a case: its truth, and a labelled study for training."""

from pathlib import Path

import numpy as np
import pytest

from tests.datasets import archives
from zeus_app.datasets.dataset import MaskFile, translated
from zeus_app.datasets.kinds import open_dataset
from zeus_app.errors import InputError
from zeus_app.types import Volume


def test_stored_values_become_those_of_the_labels() -> None:
    stored = Volume(np.array([[[0, 4, 2]]], np.float32), np.eye(4))
    mask = translated(stored, MaskFile(Path("a.nii"), {4: 1, 2: 3}))
    assert mask.array.tolist() == [[[0, 1, 3]]]
    assert mask.array.dtype == np.uint8


def test_a_value_of_no_label_is_refused() -> None:
    stored = Volume(np.array([[[0, 5]]], np.float32), np.eye(4))
    with pytest.raises(InputError, match=r"values 5 are no label.*0 and 2, 4"):
        translated(stored, MaskFile(Path("a.nii"), {4: 1, 2: 3}))


def test_a_case_without_truth_says_so(tmp_path: Path) -> None:
    test_case = open_dataset(archives.msd_brain(tmp_path)).cases[-1]
    for ask in (test_case.truth, test_case.labelled_study):
        with pytest.raises(InputError, match="BRATS_485 without a truth"):
            ask()


def test_a_labelled_study_has_patient_sequences_and_the_grid_of_the_reference(
    tmp_path: Path,
) -> None:
    archives.chaos(tmp_path)
    case = open_dataset(tmp_path).cases[0]
    study = case.labelled_study()
    assert (study.id, study.patient) == ("1", "1")
    assert study.sequences == ("T2-SPIR", "T1-in", "T1-out")
    assert study.read_grid().shape == archives.T2_PLAN.shape
    np.testing.assert_array_equal(study.read_label().array, case.truth().array)
