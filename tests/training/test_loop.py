"""The loop learns, decays, stops, validates, and survives a kill."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest
import torch

from tests.training.conftest import TinyModel, tiny_case
from zeus_app.config import TrainConfig
from zeus_app.errors import InputError
from zeus_app.training import loop
from zeus_app.training.cases import Case
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.training.loop import Epoch, Origin, Trainer

ORIGIN = Origin(fitted_to={"image encoder": "tiny"})


class Killed(Exception):
    pass


def a_trainer(
    folder: Path,
    config: TrainConfig,
    *,
    model: TinyModel | None = None,
    validation: int = 1,
    kill_after: int | None = None,
    origin: Origin = ORIGIN,
    train: Sequence[Case] = (),
) -> Trainer:
    def progress(epoch: Epoch, done: int, total: int) -> None:
        if kill_after is not None and epoch.number > kill_after:
            raise Killed

    return Trainer(
        model=model or TinyModel(),
        train=train or [tiny_case("a", seed=1), tiny_case("b", seed=2)],
        validation=[tiny_case(f"v{i}", seed=9 + i) for i in range(validation)],
        config=config,
        origin=origin,
        checkpoints=Checkpoints(folder),
        device=torch.device("cpu"),
        union="max",
        progress=progress,
    )


QUICK = TrainConfig(epochs=40, learning_rate=0.5, batch_slices=4)


def test_it_learns_a_union_that_no_sequence_shows_whole(tmp_path: Path) -> None:
    result = a_trainer(tmp_path, QUICK).fit()
    assert result.checkpoint.score is not None
    assert result.checkpoint.score > 0.95
    assert result.epochs[-1].loss < result.epochs[0].loss / 2


def test_the_best_validated_weights_are_published_not_the_last(tmp_path: Path) -> None:
    result = a_trainer(tmp_path, QUICK).fit()
    best = max(epoch.score or 0 for epoch in result.epochs)
    assert result.checkpoint.score == best
    assert result.checkpoint.note == "best validation DSC"


def test_without_validation_the_last_epoch_counts_and_says_so(tmp_path: Path) -> None:
    result = a_trainer(tmp_path, QUICK, validation=0).fit()
    assert result.checkpoint.epoch == 40
    assert result.checkpoint.score is None
    assert "nothing was validated" in result.checkpoint.note


def test_the_learning_rate_follows_the_papers_polynomial(tmp_path: Path) -> None:
    config = QUICK.model_copy(update={"epochs": 10, "batch_slices": 12})  # one batch an epoch
    result = a_trainer(tmp_path, config).fit()
    expected = [0.5 * (1 - epoch / 10) ** 0.9 for epoch in range(10)]
    assert [epoch.learning_rate for epoch in result.epochs] == pytest.approx(expected)


def test_the_learning_rate_rises_first_where_a_warm_up_is_asked_for(tmp_path: Path) -> None:
    config = QUICK.model_copy(update={"epochs": 10, "batch_slices": 12, "warm_up": 0.4})
    rates = [epoch.learning_rate for epoch in a_trainer(tmp_path, config).fit().epochs]
    decay = [0.5 * (1 - epoch / 10) ** 0.9 for epoch in range(10)]
    rise = [0, 0.25, 0.5, 0.75, *[1] * 6]
    assert rates == pytest.approx([a * b for a, b in zip(decay, rise, strict=True)])


def test_it_stops_when_the_training_loss_no_longer_falls(tmp_path: Path) -> None:
    config = QUICK.model_copy(update={"learning_rate": 1e-30, "early_stop": 3, "foreground": 0.0})
    result = a_trainer(tmp_path, config).fit()
    assert "not lower for 3 epochs" in result.stopped_because
    assert len(result.epochs) < 40


def test_a_spent_budget_ends_the_training_after_full_decay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = count(step=0.01)  # a busy machine must not decide
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))
    config = QUICK.model_copy(update={"epochs": 100_000, "time_budget_s": 10.0})
    result = a_trainer(tmp_path, config).fit()
    assert "time budget" in result.stopped_because
    assert result.epochs[-1].learning_rate < 0.05 * 0.5


def test_a_killed_training_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = a_trainer(tmp_path / "whole", QUICK).fit()
    with pytest.raises(Killed):
        a_trainer(tmp_path / "killed", QUICK, kill_after=17).fit()
    resumed = a_trainer(tmp_path / "killed", QUICK)
    result = resumed.fit()
    assert [epoch.loss for epoch in result.epochs] == pytest.approx(
        [epoch.loss for epoch in whole.epochs]
    )
    assert result.checkpoint.epoch == whole.checkpoint.epoch
    assert not (tmp_path / "killed" / "running.pt").exists()


def test_another_recipe_does_not_resume_the_interrupted_one(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        a_trainer(tmp_path, QUICK, kill_after=5).fit()
    other = QUICK.model_copy(update={"learning_rate": 0.25})
    result = a_trainer(tmp_path, other).fit()
    assert len(result.epochs) == 40


def test_a_corrected_label_does_not_go_on_with_what_the_old_one_taught(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        a_trainer(tmp_path, QUICK, kill_after=5).fit()
    corrected = [tiny_case("a", seed=1), tiny_case("b", seed=2, slices=8)]
    result = a_trainer(tmp_path, QUICK, train=corrected).fit()
    assert len(result.epochs) == 40


def test_a_version_knows_what_its_parent_learnt_from_and_what_was_left_out(tmp_path: Path) -> None:
    origin = Origin({"labels": "lesion 1"}, "v0007", ("x", "a"), {"bad": "NaN"})
    found = a_trainer(tmp_path, QUICK, origin=origin).fit().checkpoint
    assert found.studies == ("a", "b", "x") and found.parent == "v0007"
    assert found.fitted_to == {"labels": "lesion 1"} and found.left_out == {"bad": "NaN"}


def test_a_killed_training_leaves_the_served_version_alone(tmp_path: Path) -> None:
    a_trainer(tmp_path, QUICK).fit()
    with pytest.raises(Killed):
        a_trainer(tmp_path, QUICK.model_copy(update={"seed": 1}), kill_after=3).fit()
    served = Checkpoints(tmp_path).served()
    assert served is not None
    assert served.version == "v0001"


def test_the_best_of_a_killed_training_can_be_served(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        a_trainer(tmp_path, QUICK, kill_after=17).fit()
    checkpoints = Checkpoints(tmp_path)
    kept = checkpoints.read(checkpoints.resume_path)
    assert checkpoints.serve("running") == "v0001"
    served = checkpoints.info("v0001")
    assert served.epoch == kept["run"]["best_epoch"] and served.score == kept["run"]["best_score"]
    weights = checkpoints.load("v0001", fitted_to=served.fitted_to)
    for name, value in kept["run"]["best_state"].items():
        assert torch.equal(weights[name], value)
    assert a_trainer(tmp_path, QUICK).fit().checkpoint.version == "v0002"  # it still resumes


class Cramped(TinyModel):
    """A model on a device that holds `room` slices at once."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def logits(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if torch.is_grad_enabled() and len(batch["present"]) > self.room:
            raise torch.OutOfMemoryError("4 GiB wanted")
        return super().logits(batch)


def test_a_batch_that_the_memory_does_not_hold_is_learnt_from_in_parts(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path, QUICK, model=Cramped(room=1))
    result = trainer.fit()
    assert trainer.at_once == 1
    assert result.epochs[-1].loss < result.epochs[0].loss / 2


def test_when_not_even_one_slice_fits_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not hold one row: 4 GiB wanted"):
        a_trainer(tmp_path, QUICK, model=Cramped(room=0)).fit()


def test_equal_seeds_train_equally(tmp_path: Path) -> None:
    first = a_trainer(tmp_path / "1", QUICK).fit()
    second = a_trainer(tmp_path / "2", QUICK).fit()
    assert [e.loss for e in first.epochs] == [e.loss for e in second.epochs]
