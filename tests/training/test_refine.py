"""Learning after one case: what it learns from, and which weights are stored and served."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from tests.training.conftest import TinyModel, TinyPrepared, labelled_study, tiny_setup
from zeus_app.errors import CancelledError, InputError
from zeus_app.progress import Report
from zeus_app.protocols import Batch, Prepared
from zeus_app.settings.config import TrainConfig
from zeus_app.training.cases import Case
from zeus_app.training.checkpoint import CheckpointInfo, Checkpoints
from zeus_app.training.refine import Refinement, Refiner, SupersededError, refinement_recipe
from zeus_app.training.steps import Steps
from zeus_app.types import Grid, Guidance, LabelledStudy, SliceStack, Study, Volume

SHAPE = (32, 32, 12)
AFFINE = np.diag([4.0, 4.0, 6.0, 1.0])
RECIPE = TrainConfig(learning_rate=1.0, batch_slices=4, validation_fraction=0, weight_decay=0)
STEPS = 2  # seconds of a clock that moves by one at each reading
GOOD = 20.0, -10.0  # weight and bias: bright pixels are the label
BAD = -20.0, 10.0


class Refinable(TinyModel):
    """The tiny model, which prepares studies; its second label is never predicted."""

    reads_text = False

    def __init__(self) -> None:
        super().__init__()
        self.prepared: list[int] = []  # slices of each prepared study
        self.calibrated_with: list[int] = []
        self.pinned = 0

    def prepare(
        self, stack: SliceStack, *, guidance: Guidance, report: Report, keep_pixels: bool
    ) -> TinyPrepared:
        self.prepared.append(stack.tissue.shape[1])
        return TinyPrepared(stack.tissue.T.copy(), stack.pixels.transpose(1, 0, 2, 3).copy())

    @contextmanager
    def pin_embeddings(self) -> Iterator[None]:
        self.pinned += 1
        yield
        self.pinned -= 1

    def cache_bytes(self, pictures: int) -> int:
        return 0

    def calibrate(self, studies: Sequence[Prepared]) -> None:
        self.calibrated_with.append(len(studies))

    def logits(self, batch: Batch) -> torch.Tensor:
        first = super().logits(batch)
        return torch.cat([first, torch.full_like(first, -20.0)], dim=2)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count()
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))


def read_study(seed: int) -> Study:
    """Noise, and a bright square on the first six of twelve slices."""
    noise = np.random.default_rng(seed).uniform(100, 200, SHAPE).astype(np.float32)
    noise[:4] = 0
    noise[12:20, 12:20, :6] = 900
    return Study(f"s{seed}", {"T2": Volume(noise, AFFINE)})


def read_label() -> Volume:
    label = np.zeros(SHAPE, np.uint8)
    label[12:20, 12:20, :6] = 1
    return Volume(label, AFFINE)


def labelled(seed: int, patient: str = "") -> LabelledStudy:
    return labelled_study(
        f"s{seed}",
        patient or f"patient{seed}",
        read_study=lambda: read_study(seed),
        read_label=read_label,
        grid=Grid(SHAPE, AFFINE),
    )


def a_refiner(folder: Path, model: Refinable, recipe: TrainConfig = RECIPE) -> Refiner:
    return Refiner(tiny_setup(folder, model), recipe)


def learn(
    refiner: Refiner,
    studies: Sequence[LabelledStudy],
    newest: str,
    *,
    steps: int = STEPS,
    serve: bool = True,
    report: Report = lambda *_: None,
) -> Refinement:
    return refiner.refine(studies, newest, seconds=steps, serve=serve, report=report)


def publish(
    folder: Path,
    weights: tuple[float, float],
    *,
    studies: Sequence[str] = (),
    patients: Sequence[str] = (),
    validation_fraction: float = 0,
) -> str:
    """Serve a version of the tiny model, as a training would."""
    weight, bias = weights
    state = {"weight": torch.full((2, 1, 1, 1), weight), "bias": torch.full((2,), bias)}
    info = CheckpointInfo(
        "", "", 1, None, tuple(studies), (), tiny_setup(folder, Refinable()).trained_with,
        patients=tuple(patients), settings={"validation_fraction": validation_fraction},
    )  # fmt: skip
    return Checkpoints(folder).publish(state, info).version


def write_sides(folder: Path, **sides: str) -> None:
    (folder / "splits.json").write_text(json.dumps(sides))


def served(folder: Path) -> CheckpointInfo:
    info = Checkpoints(folder).served()
    assert info is not None
    return info


def test_the_first_case_of_all_becomes_a_served_version(tmp_path: Path) -> None:
    result = learn(a_refiner(tmp_path, Refinable()), [labelled(1)], "s1", steps=15)
    assert (result.parent, result.version, result.served) == ("untrained", "v0001", True)
    assert result.steps == 15
    assert result.score_before == 0  # untrained, the tiny model marks nothing
    assert result.score_after is not None
    assert result.score_after > 0.9
    assert served(tmp_path).version == "v0001"


def test_a_version_says_where_it_comes_from(tmp_path: Path) -> None:
    publish(tmp_path, GOOD, studies=["gone"], patients=["earlier"])
    learn(a_refiner(tmp_path, Refinable()), [labelled(1), labelled(2)], "s2")
    info = served(tmp_path)
    assert (info.version, info.parent) == ("v0002", "v0001")
    assert info.studies == ("gone", "s1", "s2")
    assert info.patients == ("earlier", "patient1", "patient2")
    # Held back are the third slice with the label and the third without, of each case.
    assert info.note.startswith("learnt after s2: 2 steps; DSC 0.")
    assert info.note.endswith(" after, on 4 slices")
    assert info.score is None  # nothing was validated on other patients


def test_worse_weights_are_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path, GOOD)
    model = Refinable()

    def ruin(*_: object) -> None:
        torch.nn.init.zeros_(cast(torch.nn.Conv2d, model.trainable).weight)

    monkeypatch.setattr(Steps, "train_step", ruin)
    result = learn(a_refiner(tmp_path, model), [labelled(1)], "s1")
    assert (result.version, result.served, result.score_after) == ("", False, 0)
    assert result.reason.startswith("worse, so not stored: DSC 0.")
    assert [info.version for info in Checkpoints(tmp_path).versions()] == ["v0001"]


def test_a_version_that_waits_for_the_user_is_stored_and_not_served(tmp_path: Path) -> None:
    publish(tmp_path, BAD)
    result = learn(a_refiner(tmp_path, Refinable()), [labelled(1)], "s1", serve=False)
    assert (result.version, result.served) == ("v0002", False)
    assert result.reason.endswith("POST /zeus/checkpoints/v0002/serve serves it")
    assert served(tmp_path).version == "v0001"
    assert Checkpoints(tmp_path).serve("v0002") == "v0002"


def test_half_of_a_batch_is_of_the_newest_case_and_no_slice_of_the_check_is_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[list[tuple[int, int]]] = []
    monkeypatch.setattr(Steps, "train_step", lambda _, picks, rng: batches.append(list(picks)))
    three = [labelled(1), labelled(2), labelled(3)]
    learn(a_refiner(tmp_path, Refinable()), three, "s2", steps=40)
    assert len(batches) == 40
    assert all([case == 0 for case, _ in batch].count(True) == 2 for batch in batches)
    drawn = {(case, s) for batch in batches for case, s in batch}
    assert {case for case, _ in drawn} == {0, 1, 2}
    # With a label: 0 to 5. Without: 6 to 11.
    assert {s for _, s in drawn}.isdisjoint({2, 8})


def test_a_held_back_patient_is_not_learnt_from(tmp_path: Path) -> None:
    write_sides(tmp_path, patient1="train", patient2="validation")
    model = Refinable()
    result = learn(a_refiner(tmp_path, model), [labelled(1), labelled(2)], "s2")
    assert result.reason == "patient patient2 is held back to validate trainings"
    assert (result.version, result.steps, model.prepared) == ("", 0, [])


def test_other_held_back_patients_are_not_replayed(tmp_path: Path) -> None:
    write_sides(tmp_path, patient1="train", patient2="validation")
    learn(a_refiner(tmp_path, Refinable()), [labelled(1), labelled(2)], "s1")
    assert served(tmp_path).studies == ("s1",)


def test_a_new_patient_gets_a_side_by_the_fraction_of_the_served_training(tmp_path: Path) -> None:
    publish(tmp_path, GOOD, patients=["patient1", "patient2"], validation_fraction=0.5)
    write_sides(tmp_path, patient1="train", patient2="train")
    three = [labelled(1), labelled(2), labelled(3)]
    result = learn(a_refiner(tmp_path, Refinable()), three, "s3")
    # Half of three patients, rounded, is two: the next new patient validates.
    assert result.reason == "patient patient3 is held back to validate trainings"


def test_a_patient_that_the_served_version_was_trained_on_is_learnt_from(tmp_path: Path) -> None:
    publish(tmp_path, GOOD, patients=["patient2"])
    write_sides(tmp_path, patient1="train", patient2="validation")
    result = learn(a_refiner(tmp_path, Refinable()), [labelled(1), labelled(2)], "s2")
    assert result.served


def test_a_study_whose_label_was_removed_meanwhile_is_skipped(tmp_path: Path) -> None:
    result = learn(a_refiner(tmp_path, Refinable()), [labelled(1)], "s2")
    assert result.reason == "the study has no final label any more"


def test_a_study_that_cannot_be_used_gives_its_reason(tmp_path: Path) -> None:
    def fail() -> Study:
        raise InputError("a volume of NaN", expected="numbers", remedy="export it again")

    bad = LabelledStudy("bad", fail, read_label, lambda: Grid(SHAPE, AFFINE), "bad", ("T2",))
    result = learn(a_refiner(tmp_path, Refinable()), [labelled(1), bad], "bad")
    assert "a volume of NaN" in result.reason
    learn(a_refiner(tmp_path, Refinable()), [labelled(1), bad], "s1")
    assert list(served(tmp_path).left_out) == ["bad"]


def test_known_cases_are_not_prepared_again(tmp_path: Path) -> None:
    model = Refinable()
    refiner, first, second = a_refiner(tmp_path, model), labelled(1), labelled(2)
    learn(refiner, [first], "s1")
    learn(refiner, [first, second], "s2")
    assert len(model.prepared) == 2
    learn(refiner, [labelled(1), second], "s1")  # a corrected label is another object
    assert len(model.prepared) == 3
    assert model.pinned == 1


def test_a_version_of_another_training_prepares_its_cases_itself(tmp_path: Path) -> None:
    model, first = Refinable(), labelled(1)
    refiner = a_refiner(tmp_path, model)
    learn(refiner, [first], "s1")
    publish(tmp_path, GOOD)
    learn(refiner, [first], "s1")
    assert len(model.prepared) == 2
    assert model.pinned == 1


def test_statistics_of_the_instructions_are_measured_from_scratch_alone(tmp_path: Path) -> None:
    model = Refinable()
    refiner, two = a_refiner(tmp_path, model), [labelled(1), labelled(2)]
    learn(refiner, two, "s1")
    learn(refiner, two, "s2")
    assert model.calibrated_with == [2]


def test_a_check_compares_the_first_look(tmp_path: Path) -> None:
    class TwoLooks(Refinable):
        def second_look(
            self, prepared: Prepared, slices: Sequence[int], union: torch.Tensor
        ) -> torch.Tensor:
            raise AssertionError("a second look takes too long")

        def choose_second_look(self, cases: Sequence[Case]) -> None:
            raise AssertionError("an ordinary training chooses it")

    publish(tmp_path, GOOD)
    assert learn(a_refiner(tmp_path, TwoLooks()), [labelled(1)], "s1").score_after is not None


def test_a_version_that_was_served_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    publish(tmp_path, GOOD)

    def serve_another(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("learning", 1):
            publish(tmp_path, GOOD)

    with pytest.raises(SupersededError):
        learn(a_refiner(tmp_path, Refinable()), [labelled(1)], "s1", report=serve_another)
    assert served(tmp_path).version == "v0002"
    assert len(Checkpoints(tmp_path).versions()) == 2


def test_an_interruption_stores_nothing_and_the_next_case_starts_from_the_served_version(
    tmp_path: Path,
) -> None:
    publish(tmp_path, GOOD)

    def interrupt(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("learning", 1):
            raise CancelledError("a training comes first")

    refiner = a_refiner(tmp_path, Refinable())
    with pytest.raises(CancelledError):
        learn(refiner, [labelled(1)], "s1", report=interrupt)
    assert len(Checkpoints(tmp_path).versions()) == 1
    before = learn(refiner, [labelled(1)], "s1").score_before
    assert before is not None
    assert before > 0.9


def test_the_learning_rate_is_constant_and_lower_on_trained_weights(tmp_path: Path) -> None:
    recipe = TrainConfig(learning_rate=1e-3, sequence_loss_first=1, sequence_loss=0.1)
    scratch = refinement_recipe(recipe, None)
    assert (scratch.learning_rate, scratch.poly_power, scratch.start) == (1e-3, 0, "scratch")
    publish(tmp_path, GOOD)
    trained = refinement_recipe(recipe, served(tmp_path))
    assert trained.learning_rate == pytest.approx(0.1e-3)
    assert (trained.sequence_loss_first, trained.start) == (0.1, "served")


def test_the_learning_rate_rises_over_five_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    monkeypatch.setattr(Steps, "train_step", lambda steps, *_: rates.append(steps.learning_rate))
    learn(a_refiner(tmp_path, Refinable()), [labelled(1)], "s1", steps=7)
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1])
