"""A folder is recognised by its layout, and every layout keeps the same promise."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.datasets import archives
from zeus_app.datasets.dataset import Dataset
from zeus_app.datasets.kinds import KINDS, open_dataset
from zeus_app.errors import InputError


def brats_folder(root: Path) -> Path:
    archives.brats(root / "MICCAI_BraTS2020_TrainingData")
    return root


def chaos_folder(root: Path) -> Path:
    archives.chaos(root)
    return root


WRITERS: dict[str, Callable[[Path], Path]] = {
    "msd": archives.msd_brain,
    "nnunet": archives.nnunet,
    "chaos": chaos_folder,
    "brats": brats_folder,
}


@pytest.fixture(params=list(KINDS))
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    opened = open_dataset(WRITERS[request.param](tmp_path))
    assert opened.kind == request.param
    return opened


def test_a_truth_lies_on_the_grid_of_the_reference(dataset: Dataset) -> None:
    case = dataset.labelled[0]
    assert case.truth().grid.matches(case.sources[case.reference].grid())


def test_a_truth_holds_values_of_the_target(dataset: Dataset) -> None:
    truth = dataset.labelled[0].truth().array
    assert truth.dtype == np.uint8
    values = set(dataset.target.label_values.values())
    assert set(np.unique(truth).tolist()) == {0, *values}


def test_a_case_is_a_study_of_the_product(dataset: Dataset) -> None:
    study = dataset.labelled[0].labelled_study().read_study()
    assert set(study.volumes) == set(dataset.labelled[0].sources)
    assert study.left_out == {}


def test_all_sequences_of_a_complete_case_are_expected(dataset: Dataset) -> None:
    assert tuple(dataset.labelled[0].sources) == dataset.sequences


def test_a_copy_at_another_place_has_the_same_identity(dataset: Dataset, tmp_path: Path) -> None:
    other = open_dataset(WRITERS[dataset.kind](tmp_path / "copy"))
    assert other.identity == dataset.identity


def test_an_unknown_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(InputError, match="no known layout"):
        open_dataset(tmp_path)


def test_a_folder_above_the_dataset_is_told_where_the_dataset_is(tmp_path: Path) -> None:
    folder = archives.msd_brain(tmp_path)
    with pytest.raises(InputError, match=f"for example {folder}"):
        open_dataset(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_dataset(tmp_path / "none")


def test_files_of_macos_are_ignored_and_named(tmp_path: Path) -> None:
    opened = open_dataset(archives.msd_brain(tmp_path))
    assert [case.id for case in opened.cases] == ["BRATS_001", "BRATS_002", "BRATS_485"]
    assert {path.name for path in opened.ignored} == {
        "._BRATS_001.nii.gz", "._BRATS_002.nii.gz", "._BRATS_485.nii.gz",
    }  # fmt: skip
