"""Which of Zeus's answers are scored."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.server.conftest import LESION, SHAPE, affine, lesion_file, make_study
from zeus_app.server.context import ServerContext, open_context
from zeus_app.server.tasks.scoring import DiceScoring
from zeus_app.training.checkpoint import CheckpointInfo
from zeus_app.types import LabelArray, Segmentation, Volume

EMPTY = np.zeros(SHAPE, np.uint8)
RIGHT = EMPTY.copy()
RIGHT[LESION] = 1


@pytest.fixture
def place(tmp_path: Path) -> ServerContext:
    """Study alpha with its lesion labelled."""
    make_study(tmp_path / "studies", "alpha", 1)
    opened = open_context(str(tmp_path / "studies"), {"state": str(tmp_path / "state")})
    label = str(lesion_file(tmp_path / "l.nii.gz"))
    opened.datastore.save_label("alpha", label, "final", {})
    return opened


def answered(place: ServerContext, checkpoint: str, mask: LabelArray) -> None:
    label_map = Volume(mask, affine())
    said = Segmentation("alpha", label_map, {}, (), ("T2",), (), {}, {}, {}, checkpoint)
    place.datastore.predictions.save(said, {"checkpoint": checkpoint, "used": ["T2"]})


def trained_on(place: ServerContext, *studies: str) -> str:
    info = CheckpointInfo("", "", 1, None, studies, (), {})
    return place.checkpoints.publish({"w": torch.zeros(1)}, info).version


def scored(place: ServerContext) -> dict[str, Any]:
    result: dict[str, Any] = DiceScoring(place.target, place.checkpoints)({}, place.datastore)
    return result


def test_an_answer_of_a_checkpoint_that_learnt_from_the_study_is_left_out(
    place: ServerContext,
) -> None:
    version = trained_on(place, "alpha")
    answered(place, version, RIGHT)
    assert scored(place)["left_out"] == {"alpha": f"checkpoint {version} was trained on it"}


def test_a_fair_answer_is_scored_still_after_an_unfair_one(place: ServerContext) -> None:
    answered(place, "untrained", EMPTY)
    answered(place, trained_on(place, "alpha"), RIGHT)
    result = scored(place)
    assert result["left_out"] == {}
    assert result["studies"]["alpha"]["checkpoint"] == "untrained"


def test_of_several_fair_answers_the_newest_is_scored(place: ServerContext) -> None:
    answered(place, "untrained", EMPTY)
    version = trained_on(place, "bravo")
    answered(place, version, RIGHT)
    alpha = scored(place)["studies"]["alpha"]
    assert alpha["checkpoint"] == version
    assert alpha["dice"] == 1.0


def test_a_study_without_an_answer_is_left_out(place: ServerContext) -> None:
    assert scored(place)["left_out"] == {"alpha": "it has no prediction"}
