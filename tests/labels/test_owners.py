"""The grid tells on which studies a label may have been drawn."""

from pathlib import Path

import numpy as np
import pytest

from tests.studies.tiny_files import nifti, study
from zeus_app.labels.owners import studies_drawn_on
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target
from zeus_app.types import StudyFiles


@pytest.fixture
def studies(tmp_path: Path) -> dict[str, StudyFiles]:
    """The T1 of anna and of bert have 4x4x3 voxels, the FLAIR of anna has 4x4x2."""
    study(tmp_path, "anna/T1", "bert/T1")
    nifti(tmp_path / "anna" / "FLAIR.nii.gz", np.zeros((4, 4, 2), np.uint8))
    return find_studies(tmp_path, load_target("brain_tumour")).studies


@pytest.mark.parametrize(
    ("shape", "owners"),
    [((4, 4, 2), {"anna"}), ((4, 4, 3), {"anna", "bert"}), ((4, 4, 5), set())],
)
def test_a_label_lies_on_each_study_with_a_sequence_on_its_grid(
    studies: dict[str, StudyFiles], tmp_path: Path, shape: tuple[int, ...], owners: set[str]
) -> None:
    label = nifti(tmp_path / "label.nii.gz", np.zeros(shape, np.uint8))
    assert studies_drawn_on(label, studies) == owners


def test_a_damaged_label_and_a_study_whose_files_are_gone_fit_nothing(
    studies: dict[str, StudyFiles], tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_text("no label")
    assert studies_drawn_on(damaged, studies) == set()
    label = nifti(tmp_path / "label.nii.gz", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "bert" / "T1.nii.gz").unlink()
    assert studies_drawn_on(label, studies) == {"anna"}
