"""Weights are asked with texts of the scope that they learned from."""

from pathlib import Path

import pytest
import torch

from tests.pipeline.tiny_zeus import TARGET, Parts
from zeus_app.training.checkpoint import UNTRAINED, CheckpointInfo, Checkpoints
from zeus_app.training.setup import TEXTS, TrainingSetup


def a_setup(folder: Path, parts: Parts) -> TrainingSetup:
    net = parts.zeus.trainable
    return TrainingSetup(
        model=parts.zeus, target=TARGET, checkpoints=Checkpoints(folder),
        initial_state={name: value.clone() for name, value in net.state_dict().items()},
        split_path=folder / "splits.json", device=torch.device("cpu"), union="max", threshold=0.5,
        cache_folder=folder / "cache", cache_limit_gib=1,
    )  # fmt: skip


def publish(setup: TrainingSetup, fitted_to: dict[str, str]) -> str:
    info = CheckpointInfo(
        version="", created="", epoch=1, score=None, studies=("a",), validation=(),
        fitted_to=fitted_to,
    )  # fmt: skip
    return setup.checkpoints.publish(setup.model.trainable.state_dict(), info).version


@pytest.mark.parametrize(
    ("recorded", "scope"), [(None, "series"), ("series", "series"), ("target", "target")]
)
def test_a_version_brings_its_scope_and_one_of_an_older_zeus_the_scope_of_then(
    tmp_path: Path, recorded: str | None, scope: str
) -> None:
    parts = Parts(scope="target", older_scope="series")
    setup = a_setup(tmp_path, parts)
    told = {} if recorded is None else {TEXTS: recorded}
    version = publish(setup, {**setup.trained_with, **told})
    setup.load(version)
    assert parts.zeus.text_scope == scope
    assert setup.fitted_to == {**setup.trained_with, TEXTS: scope}  # what a next version records
    setup.load(UNTRAINED)
    assert parts.zeus.text_scope == "target"
