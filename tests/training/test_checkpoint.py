"""Versions of the weights: whole or absent, listed, rolled back to."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

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


def test_the_last_published_version_is_served(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.publish(weights(1), a_result())
    second = checkpoints.publish(weights(2), a_result(0.9))
    served = checkpoints.served()
    assert served is not None
    assert (served.version, served.score) == (second.version, 0.9) == ("v0002", 0.9)
    assert checkpoints.load("v0002", trained_with=TOWERS)["layer.weight"][0, 0] == 2


def test_a_version_can_be_stored_without_being_served(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.publish(weights(1), a_result())
    assert checkpoints.publish(weights(2), a_result(), serve=False).version == "v0002"
    served = checkpoints.served()
    assert served is not None
    assert served.version == "v0001"


def test_a_pinned_version_counts_as_served_whatever_the_folder_says(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.publish(weights(1), a_result())
    checkpoints.publish(weights(2), a_result())
    pinned = Checkpoints(tmp_path, pinned="v0001").served()
    assert pinned is not None
    assert pinned.version == "v0001"
    assert Checkpoints(tmp_path, pinned=UNTRAINED).served() is None
    with pytest.raises(UnknownNameError, match="v0001, v0002, untrained"):
        Checkpoints(tmp_path, pinned="v0009").served()


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


def test_weights_trained_with_other_towers_are_refused(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.publish(weights(1), a_result())
    with pytest.raises(InputError, match="image encoder: A then, B now"):
        checkpoints.load("v0001", trained_with={"image encoder": "B"})


def test_a_kill_between_weights_and_their_name_leaves_the_old_version(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.publish(weights(1), a_result())
    checkpoints.save(tmp_path / "v0002.pt", weights(2))  # killed before its JSON was written
    served = checkpoints.served()
    assert served is not None
    assert served.version == "v0001"
    assert checkpoints.publish(weights(3), a_result()).version == "v0003"


def test_two_trainings_that_end_at_once_get_a_version_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, other_weights = Checkpoints.save, [weights(2)]

    def save_while_another_publishes(path: Path, value: dict[str, Any]) -> None:
        if other_weights:
            Checkpoints(tmp_path).publish(other_weights.pop(), a_result())
        save(path, value)

    monkeypatch.setattr(Checkpoints, "save", staticmethod(save_while_another_publishes))
    Checkpoints(tmp_path).publish(weights(1), a_result())
    weight_by_version = {
        info.version: Checkpoints(tmp_path).load(info.version, trained_with=TOWERS)["layer.weight"][
            0, 0
        ]
        for info in Checkpoints(tmp_path).versions()
    }
    assert weight_by_version == {"v0001": 1, "v0002": 2}


def test_epochs_that_are_a_version_already_become_no_second_one(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    epochs = ({"number": 1, "loss": 0.5, "seconds": 1.25},)
    checkpoints.publish(weights(1), replace(a_result(), epochs=epochs))
    checkpoints.serve(UNTRAINED)
    assert checkpoints.publish(weights(1), replace(a_result(), epochs=epochs)).version == "v0001"
    served = checkpoints.served()
    assert served is not None
    assert served.version == "v0001"


def test_a_training_that_ends_just_when_it_is_to_be_served_is_no_longer_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(checkpoints.resume_path, {})
    read = Checkpoints.read

    def end_and_read(path: Path) -> dict[str, Any]:
        path.unlink()
        return read(path)

    monkeypatch.setattr(Checkpoints, "read", staticmethod(end_and_read))
    with pytest.raises(UnknownNameError, match="no running or interrupted training"):
        checkpoints.serve("running")


def test_reading_weights_runs_no_code_from_the_file(tmp_path: Path) -> None:
    torch.save({"evil": Path("x")}, tmp_path / "v0001.pt")
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        Checkpoints.read(tmp_path / "v0001.pt")


def test_the_json_is_readable_by_others(tmp_path: Path) -> None:
    Checkpoints(tmp_path).publish(weights(1), a_result())
    assert json.loads((tmp_path / "v0001.json").read_text())["studies"] == ["case1", "case2"]
