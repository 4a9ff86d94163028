"""Versions of the weights: whole or absent, listed, rolled back to."""

import json
from pathlib import Path

import pytest
import torch

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.training.checkpoint import UNTRAINED, CheckpointInfo, Checkpoints

TOWERS = {"image encoder": "A"}


def a_result(score: float | None = None) -> CheckpointInfo:
    return CheckpointInfo("", "", 3, score, ("case1", "case2"), (), TOWERS)


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"layer.weight": torch.full((2, 2), value)}


def test_nothing_is_served_before_a_training(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path).served() is None


def test_what_was_published_last_is_served(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.publish(weights(1), a_result())
    second = checkpoints.publish(weights(2), a_result(0.9))
    served = checkpoints.served()
    assert served is not None
    assert (served.version, served.score) == (second.version, 0.9) == ("v0002", 0.9)
    assert checkpoints.load("v0002", fitted_to=TOWERS)["layer.weight"][0, 0] == 2


def test_an_older_version_can_be_served_again(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.publish(weights(1), a_result())
    checkpoints.publish(weights(2), a_result())
    checkpoints.serve("v0001")
    served = checkpoints.served()
    assert served is not None
    assert served.version == "v0001"
    assert [info.version for info in checkpoints.versions()] == ["v0001", "v0002"]


def test_the_untrained_state_can_be_served_again(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.publish(weights(1), a_result())
    checkpoints.serve(UNTRAINED)
    assert checkpoints.served() is None


def test_an_unknown_version_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.publish(weights(1), a_result())
    with pytest.raises(UnknownNameError, match="v0001, untrained"):
        checkpoints.serve("v0009")


def test_a_version_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError):
        Checkpoints(tmp_path).serve("../../etc/passwd")


def test_weights_fitted_to_other_towers_are_refused(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.publish(weights(1), a_result())
    with pytest.raises(InputError, match="image encoder: A then, B now"):
        checkpoints.load("v0001", fitted_to={"image encoder": "B"})


def test_a_kill_between_weights_and_their_name_leaves_the_old_version(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.publish(weights(1), a_result())
    checkpoints.save(tmp_path / "v0002.pt", weights(2))  # killed before its JSON was written
    served = checkpoints.served()
    assert served is not None
    assert served.version == "v0001"
    assert checkpoints.publish(weights(3), a_result()).version == "v0003"


def test_reading_weights_runs_no_code_from_the_file(tmp_path: Path) -> None:
    torch.save({"evil": Path("x")}, tmp_path / "v0001.pt")
    with pytest.raises(Exception, match="(?i)weights.only"):
        Checkpoints.read(tmp_path / "v0001.pt")


def test_the_json_is_readable_by_others(tmp_path: Path) -> None:
    Checkpoints(tmp_path).publish(weights(1), a_result())
    assert json.loads((tmp_path / "v0001.json").read_text())["studies"] == ["case1", "case2"]
