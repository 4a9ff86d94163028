"""Only studies of patients that the checkpoint was not trained on are scored."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import nibabel
import numpy as np
import pytest
import torch

from zeus_app.labels.predictions import Prediction
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.server.tasks.scoring import DiceScoring
from zeus_app.targets import load_target
from zeus_app.training.checkpoint import CheckpointInfo, Checkpoints
from zeus_app.types import StudyFiles, Volume

PATIENTS = {"anna_2019": "anna", "anna_2020": "anna", "bob": "bob", "eve": "eve"}


@pytest.fixture
def scored(tmp_path: Path) -> dict[str, Any]:
    """The scores of all four studies, by a checkpoint trained on anna_2019 and bob."""
    mask = np.zeros((4, 4, 2), np.uint8)
    mask[1:3, 1:3] = 1
    path = tmp_path / "mask.nii.gz"
    nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), path)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.folder.mkdir()
    info = CheckpointInfo("", "", 1, None, ("anna_2019", "bob", "gone"), (), {})
    version = checkpoints.publish({"weight": torch.zeros(1)}, info).version
    datastore: Any = SimpleNamespace(
        get_labeled_images=lambda: list(PATIENTS),
        predictions=SimpleNamespace(
            of_study=lambda study: [Prediction(path, {"checkpoint": version})]
        ),
        catalogue=SimpleNamespace(
            studies={name: StudyFiles(name, {}, patient) for name, patient in PATIENTS.items()}
        ),
        final_label=lambda study: Volume(mask, np.eye(4)),
        history=SimpleNamespace(update_info=lambda *info: None),
    )
    return DiceScoring(load_target("phantom"), checkpoints)({}, cast(StudyDatastore, datastore))


def test_other_studies_of_a_patient_in_the_training_are_skipped(scored: dict[str, Any]) -> None:
    assert scored["left_out"] == {
        "anna_2019": "checkpoint v0001 was trained on it",
        "anna_2020": "checkpoint v0001 was trained on another study of its patient",
        "bob": "checkpoint v0001 was trained on it",
    }


def test_studies_of_other_patients_are_scored(scored: dict[str, Any]) -> None:
    assert list(scored["studies"]) == ["eve"]
    assert scored["mean_dice"] == 1.0


def test_the_unions_that_a_target_names_are_scored_too(tmp_path: Path) -> None:
    parts = load_target("brain_tumour_parts")
    truth = np.array([1, 1, 2, 2, 2, 3, 0, 0], np.uint8).reshape(2, 2, 2)
    mask = np.array([1, 3, 2, 2, 1, 3, 2, 0], np.uint8).reshape(2, 2, 2)
    path = tmp_path / "mask.nii.gz"
    nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), path)
    datastore: Any = SimpleNamespace(
        get_labeled_images=lambda: ["eve"],
        predictions=SimpleNamespace(
            of_study=lambda study: [Prediction(path, {"checkpoint": "untrained"})]
        ),
        final_label=lambda study: Volume(truth, np.eye(4)),
        history=SimpleNamespace(update_info=lambda *info: None),
    )
    scoring = DiceScoring(parts, Checkpoints(tmp_path / "checkpoints"))
    (scores,) = scoring({}, cast(StudyDatastore, datastore))["studies"].values()
    groups = {name: score["dice"] for name, score in scores["groups"].items()}
    # By hand. Whole: 6 of 7 predicted and 6 true. Core: {0, 1, 4, 5} and {0, 1, 5}.
    assert groups == pytest.approx({
        "whole tumour": 2 * 6 / (7 + 6), "tumour core": 2 * 3 / (4 + 3),
        "enhancing tumour": 2 * 1 / (2 + 1),
    })  # fmt: skip
    assert scores["labels"]["enhancing tumour"]["dice"] == pytest.approx(2 / 3)
    assert scores["dice"] == pytest.approx(np.mean([2 * 1 / (2 + 2), 2 * 2 / (3 + 3), 2 / 3]))
