"""Studies with final labels, as trainings take them."""

from pathlib import Path

import numpy as np
import pytest

from tests.studies.tiny_files import nifti
from zeus_app.errors import UnknownNameError
from zeus_app.instructions.own_texts import INSTRUCTIONS
from zeus_app.labels.labelled import with_final_label
from zeus_app.labels.versions import FINAL, LabelHistory
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target
from zeus_app.types import StudyFiles, Volume

PHANTOM = load_target("phantom")


@pytest.fixture
def files(tmp_path: Path) -> StudyFiles:
    nifti(tmp_path / "studies" / "p1" / "t2.nii.gz")
    nifti(tmp_path / "studies" / "p1" / "flair.nii.gz", affine=np.diag([2.0, 2.0, 2.0, 1.0]))
    return find_studies(tmp_path / "studies", PHANTOM).studies["p1"]


def test_the_newest_label_counts_with_its_texts_and_is_read_late(
    files: StudyFiles, tmp_path: Path
) -> None:
    history = LabelHistory(tmp_path / "labels")
    history.save("p1", FINAL, Volume(np.zeros((4, 4, 3), np.uint8), np.eye(4)), {})
    texts = {"T2/lesion": "bright", "T9/lesion": "of another target"}
    label = Volume(np.full((4, 4, 3), 2, np.uint8), np.eye(4))
    history.save("p1", FINAL, label, {INSTRUCTIONS: texts})
    labelled = with_final_label(files, history, PHANTOM)
    assert labelled.id == "p1"
    assert set(labelled.sequences) == {"T2", "FLAIR"}
    assert labelled.guidance.texts == {("T2", "lesion"): "bright"}
    assert labelled.read_label().array.dtype == np.uint8
    np.testing.assert_array_equal(labelled.read_label().array, label.array)
    assert labelled.read_grid().spacing_mm == (1, 1, 1)  # T2 is the reference
    assert set(labelled.read_study().volumes) == {"T2", "FLAIR"}


def test_a_study_without_a_label_is_refused(files: StudyFiles, tmp_path: Path) -> None:
    history = LabelHistory(tmp_path / "labels")
    with pytest.raises(UnknownNameError, match="no final label"):
        with_final_label(files, history, PHANTOM)
