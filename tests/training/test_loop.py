"""The loop learns, decays, stops, validates, and survives a kill."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.conftest import TinyModel, TinyPrepared, tiny_case, tiny_setup
from zeus_app.errors import InputError
from zeus_app.protocols import Batch
from zeus_app.settings.config import TrainConfig
from zeus_app.training.cases import Case, TrainingCases
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.training.loop import Epoch, Origin, Trainer
from zeus_app.types import Instruction


class Killed(Exception):
    pass


def a_trainer(
    folder: Path,
    config: TrainConfig,
    *,
    model: TinyModel | None = None,
    validation: int = 1,
    kill_after: int | None = None,
    origin: Origin | None = None,
    skipped: Mapping[str, str] | None = None,
    train: Sequence[Case] = (),
    union: str = "max",
) -> Trainer:
    def progress(epoch: Epoch, done: int, total: int) -> None:
        if kill_after is not None and epoch.number > kill_after:
            raise Killed

    cases = TrainingCases(
        train=train or [tiny_case("a", seed=1), tiny_case("b", seed=2)],
        validation=[tiny_case(f"v{i}", seed=9 + i) for i in range(validation)],
        skipped=skipped or {},
    )
    setup = tiny_setup(folder, model or TinyModel(), union=union)
    return Trainer(setup, cases, config, origin=origin, progress=progress)


class Time:
    """A clock that only work moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now_s)


class Slow(TinyModel):
    """A model whose steps take 1 s, and whose answers take `answer_s` seconds a slice."""

    def __init__(self, time: Time, answer_s: float) -> None:
        super().__init__()
        self.time, self.answer_s = time, answer_s

    def logits(self, batch: Batch) -> torch.Tensor:
        learning = torch.is_grad_enabled()
        self.time.now_s += 1 if learning else self.answer_s * len(batch["present"])
        return super().logits(batch)


class Poisoned(TinyModel):
    """A model of which some steps, counted from 1, give no number."""

    def __init__(self, *bad: int, in_gradients: bool = False) -> None:
        super().__init__()
        self.bad, self.in_gradients, self.steps = bad, in_gradients, 0

    def logits(self, batch: Batch) -> torch.Tensor:
        logits = super().logits(batch)
        self.steps += torch.is_grad_enabled()
        if not torch.is_grad_enabled() or self.steps not in self.bad:
            return logits
        # The root of 0 is 0, and infinitely steep.
        return logits + (0 * logits).sqrt() if self.in_gradients else logits * float("nan")


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


def test_a_warm_up_raises_the_learning_rate_first(tmp_path: Path) -> None:
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
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    config = QUICK.model_copy(update={"epochs": 100_000, "time_budget_s": 10.0})
    result = a_trainer(tmp_path, config).fit()
    assert "time budget" in result.stopped_because
    assert result.epochs[-1].learning_rate < 0.05 * 0.5


TEN_STUDIES = 10  # of six slices each


@pytest.mark.parametrize("validation_s", [2, 11, 25])
def test_a_budget_holds_the_closing_validation_after_full_decay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, validation_s: float
) -> None:
    config = QUICK.model_copy(update={"epochs": 100_000, "time_budget_s": 60.0})
    model = Slow(Time(monkeypatch), validation_s / 60)
    result = a_trainer(tmp_path, config, model=model, validation=TEN_STUDIES).fit()
    last = result.epochs[-1]
    assert last.score is not None
    assert 59 <= last.seconds <= 61  # a step takes 1 s
    # The last step begins at least 34 s after the first, 1 s before the end of the steps.
    assert last.learning_rate <= 0.5 * (1 / 34) ** 0.9


def test_a_validation_that_takes_longer_than_the_budget_leaves_half_of_it_to_learn_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = QUICK.model_copy(update={"epochs": 100_000, "time_budget_s": 60.0})
    model = Slow(Time(monkeypatch), 2.0)
    result = a_trainer(tmp_path, config, model=model, validation=TEN_STUDIES).fit()
    # 30 s for steps, of which measuring five slices took 10; then 60 slices of 2 s.
    assert len(result.epochs) == 7  # 20 steps, three an epoch
    assert result.checkpoint.seconds == pytest.approx(30 + 120)


def test_progress_counts_validated_studies_one_by_one(tmp_path: Path) -> None:
    pieces: list[tuple[int, int]] = []
    trainer = a_trainer(tmp_path, QUICK.model_copy(update={"epochs": 1}), validation=3)
    trainer.progress = lambda epoch, done, total: pieces.append((done, total))
    trainer.fit()
    assert pieces == [(done, 6) for done in range(1, 7)]  # three batches, three studies


def test_a_step_without_finite_numbers_is_logged_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = Poisoned(2, 5, 6)
    result = a_trainer(tmp_path, QUICK, model=model).fit()
    assert caplog.text.count("training step skipped") == 3
    assert result.checkpoint.score is not None
    assert result.checkpoint.score > 0.95
    assert all(torch.isfinite(value).all() for value in model.trainable.state_dict().values())


def test_a_finite_loss_with_gradients_that_are_not_is_skipped_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = Poisoned(2, in_gradients=True)
    a_trainer(tmp_path, QUICK, model=model).fit()
    assert caplog.text.count("training step skipped") == 1
    assert all(torch.isfinite(value).all() for value in model.trainable.state_dict().values())


def test_an_epoch_of_which_no_step_counted_is_drawn_again(tmp_path: Path) -> None:
    result = a_trainer(tmp_path, QUICK, model=Poisoned(1, 2, 3)).fit()
    assert result.epochs[0].number == 1
    assert result.epochs[0].loss > 0


def test_five_steps_in_a_row_without_finite_numbers_end_the_training_unpublished(
    tmp_path: Path,
) -> None:
    model = Poisoned(*range(20, 25))
    with pytest.raises(InputError, match="5 training steps in a row without finite numbers"):
        a_trainer(tmp_path, QUICK, model=model).fit()
    assert Checkpoints(tmp_path).versions() == []


def test_a_killed_training_resumes_with_the_same_losses_as_an_uninterrupted_one(
    tmp_path: Path,
) -> None:
    uninterrupted = a_trainer(tmp_path / "whole", QUICK).fit()
    with pytest.raises(Killed):
        a_trainer(tmp_path / "killed", QUICK, kill_after=17).fit()
    resumed = a_trainer(tmp_path / "killed", QUICK)
    result = resumed.fit()
    assert [epoch.loss for epoch in result.epochs] == pytest.approx(
        [epoch.loss for epoch in uninterrupted.epochs]
    )
    assert result.checkpoint.epoch == uninterrupted.checkpoint.epoch
    assert not (tmp_path / "killed" / "running.pt").exists()


def goes_on(folder: Path, trainer: Trainer) -> bool:
    """Whether the training continues with the epochs of an interrupted one, including seconds."""
    epochs: list[dict[str, object]] = Checkpoints.read(folder / "running.pt")["epochs"]
    return [vars(epoch) for epoch in trainer.fit().epochs[: len(epochs)]] == epochs


def with_instruction(text: str) -> list[Case]:
    case = tiny_case("a", seed=1)
    assert isinstance(case.prepared, TinyPrepared)
    words = (Instruction("T2", "lesion", None, text, "some LLM"),)
    return [replace(case, prepared=replace(case.prepared, instructions=words))]


def test_the_same_training_resumes_the_interrupted_one(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        a_trainer(tmp_path, QUICK, kill_after=5, train=with_instruction("bright")).fit()
    assert goes_on(tmp_path, a_trainer(tmp_path, QUICK, train=with_instruction("bright")))


def test_another_recipe_does_not_resume_the_interrupted_one(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        a_trainer(tmp_path, QUICK, kill_after=5).fit()
    other = QUICK.model_copy(update={"learning_rate": 0.25})
    assert not goes_on(tmp_path, a_trainer(tmp_path, other))


def test_another_union_does_not_resume_the_interrupted_one(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        a_trainer(tmp_path, QUICK, kill_after=5).fit()
    assert not goes_on(tmp_path, a_trainer(tmp_path, QUICK, union="mean"))


def test_a_corrected_label_starts_the_training_again(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        a_trainer(tmp_path, QUICK, kill_after=5).fit()
    corrected = [tiny_case("a", seed=1), tiny_case("b", seed=2, slices=8)]
    assert not goes_on(tmp_path, a_trainer(tmp_path, QUICK, train=corrected))


def test_another_instruction_starts_the_training_again(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        a_trainer(tmp_path, QUICK, kill_after=5, train=with_instruction("bright")).fit()
    assert not goes_on(tmp_path, a_trainer(tmp_path, QUICK, train=with_instruction("dark")))


def test_a_training_killed_after_it_published_publishes_no_second_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = Checkpoints.publish

    def die_after(*arguments: Any) -> None:
        publish(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "publish", die_after)
        with pytest.raises(Killed):
            a_trainer(tmp_path, QUICK).fit()
    result = a_trainer(tmp_path, QUICK).fit()
    assert result.checkpoint.version == "v0001"
    assert result.stopped_because == "all 40 epochs done"
    assert [info.version for info in Checkpoints(tmp_path).versions()] == ["v0001"]
    assert a_trainer(tmp_path, QUICK).fit().checkpoint.version == "v0002"  # asked for once more


def test_a_version_records_ancestors_and_skipped_studies(tmp_path: Path) -> None:
    origin = Origin("v0007", ("x", "a"))
    trainer = a_trainer(tmp_path, QUICK, origin=origin, skipped={"bad": "NaN"})
    checkpoint = trainer.fit().checkpoint
    assert checkpoint.studies == ("a", "b", "x")
    assert checkpoint.parent == "v0007"
    assert checkpoint.fitted_to["labels"] == "lesion 1, cyst 2"
    assert checkpoint.left_out == {"bad": "NaN"}


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
    state = checkpoints.read(checkpoints.resume_path)
    assert checkpoints.serve("running") == "v0001"
    served = checkpoints.info("v0001")
    assert served.epoch == state["run"]["best_epoch"]
    assert served.score == state["run"]["best_score"]
    weights = checkpoints.load("v0001", trained_with=served.fitted_to)
    for name, value in state["run"]["best_state"].items():
        assert torch.equal(weights[name], value)
    assert a_trainer(tmp_path, QUICK).fit().checkpoint.version == "v0002"  # it still resumes


class Cramped(TinyModel):
    """A model on a device that holds `room` slices at once."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def logits(self, batch: Batch) -> torch.Tensor:
        if torch.is_grad_enabled() and len(batch["present"]) > self.room:
            raise torch.OutOfMemoryError("4 GiB wanted")
        return super().logits(batch)


def test_a_batch_too_large_for_memory_is_trained_on_in_parts(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path, QUICK, model=Cramped(room=1))
    result = trainer.fit()
    assert trainer.steps.batch_limit == 1
    assert result.epochs[-1].loss < result.epochs[0].loss / 2


def test_an_error_says_that_one_slice_does_not_fit_into_memory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not hold one row: 4 GiB wanted"):
        a_trainer(tmp_path, QUICK, model=Cramped(room=0)).fit()


def test_equal_seeds_train_equally(tmp_path: Path) -> None:
    first = a_trainer(tmp_path / "1", QUICK).fit()
    second = a_trainer(tmp_path / "2", QUICK).fit()
    assert [e.loss for e in first.epochs] == [e.loss for e in second.epochs]
