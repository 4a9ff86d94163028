"""Which of a study's predictions is scored."""

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
def ctx(tmp_path: Path) -> ServerContext:
    """Study alpha with its lesion labelled."""
    make_study(tmp_path / "studies", "alpha", 1)
    opened = open_context(str(tmp_path / "studies"), {"state": str(tmp_path / "state")})
    label = str(lesion_file(tmp_path / "l.nii.gz"))
    opened.datastore.save_label("alpha", label, "final", {})
    return opened


def save_prediction(ctx: ServerContext, checkpoint: str, mask: LabelArray) -> None:
    label_map = Volume(mask, affine())
    segmentation = Segmentation("alpha", label_map, {}, (), ("T2",), (), {}, {}, {}, checkpoint)
    ctx.datastore.predictions.save(segmentation, {"checkpoint": checkpoint, "used": ["T2"]})


def trained_on(ctx: ServerContext, *studies: str) -> str:
    info = CheckpointInfo("", "", 1, None, studies, (), {})
    return ctx.checkpoints.publish({"w": torch.zeros(1)}, info).version


def scored(ctx: ServerContext) -> dict[str, Any]:
    result: dict[str, Any] = DiceScoring(ctx.target, ctx.checkpoints)({}, ctx.datastore)
    return result


def test_a_prediction_of_a_checkpoint_trained_on_the_study_is_skipped(
    ctx: ServerContext,
) -> None:
    version = trained_on(ctx, "alpha")
    save_prediction(ctx, version, RIGHT)
    assert scored(ctx)["left_out"] == {"alpha": f"checkpoint {version} was trained on it"}


def test_an_older_fair_prediction_is_scored_if_the_newest_is_unfair(ctx: ServerContext) -> None:
    save_prediction(ctx, "untrained", EMPTY)
    save_prediction(ctx, trained_on(ctx, "alpha"), RIGHT)
    result = scored(ctx)
    assert result["left_out"] == {}
    assert result["studies"]["alpha"]["checkpoint"] == "untrained"


def test_of_several_fair_predictions_the_newest_is_scored(ctx: ServerContext) -> None:
    save_prediction(ctx, "untrained", EMPTY)
    version = trained_on(ctx, "bravo")
    save_prediction(ctx, version, RIGHT)
    alpha = scored(ctx)["studies"]["alpha"]
    assert alpha["checkpoint"] == version
    assert alpha["dice"] == 1.0


def test_a_study_without_a_prediction_is_skipped(ctx: ServerContext) -> None:
    assert scored(ctx)["left_out"] == {"alpha": "it has no prediction"}
