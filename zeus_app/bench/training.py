"""One training from scratch on chosen patients, in this process, with its figures."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from zeus_app.errors import InputError
from zeus_app.progress import Report
from zeus_app.settings.config import TrainConfig
from zeus_app.training.cases import Case, TrainingCases
from zeus_app.training.checkpoint import UNTRAINED
from zeus_app.training.loop import Epoch, Trainer
from zeus_app.training.setup import TrainingSetup
from zeus_app.training.splits import split_studies
from zeus_app.types import FloatArray, LabelledStudy


@dataclass(frozen=True)
class Training:
    """What a training took.

    Attributes:
        steps: steps of the optimiser.
        step_s: median duration of a step in seconds, with the draw of its slices; None before two.
        epochs: every epoch with its loss, and its validation DSC if there was one.
        seconds: duration of the steps and validations.
        calibrated_s: duration of `Model.calibrate`.
        wall_s: from the calibration until the weights are ready.
    """

    steps: int
    step_s: float | None
    epochs: tuple[Epoch, ...]
    seconds: float
    calibrated_s: float
    wall_s: float


class StepTimes:
    """Records when each step of an optimiser ends."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.ends: list[float] = []
        optimizer.register_step_post_hook(lambda *_: self.ends.append(time.monotonic()))

    @property
    def median_s(self) -> float | None:
        """Median duration of a step, with the draw of its slices; None before two steps."""
        durations: FloatArray = np.diff(self.ends)
        return float(np.median(durations)) if len(durations) else None


def train(
    setup: TrainingSetup,
    config: TrainConfig,
    cases: Sequence[Case],
    studies: Mapping[str, LabelledStudy],
    *,
    prepared_s: float | None = None,
    report: Report,
) -> Training:
    """Leave the trained weights in the model, as a server would serve them.

    Args:
        setup: the model; its checkpoints and its split lie in a folder of this training alone.
        config: the recipe.
        cases: what `prepare_cases` made of the training patients.
        studies: study id -> labelled study, for the patients of these cases.
        prepared_s: seconds of the time budget that the preparation of the cases took. The
            calibration then counts too. None: the budget is of steps and validations alone.
        report: called after every step, in seconds or epochs.

    Raises:
        InputError: the preparation took the whole budget, or no step has finite numbers.
    """
    torch.manual_seed(config.seed)
    setup.load(UNTRAINED)
    split = split_studies(
        {case.id: studies[case.id] for case in cases},
        setup.split_path,
        fraction=config.validation_fraction,
        seed=config.seed,
    )
    by_id = {case.id: case for case in cases}
    learnt = [by_id[name] for name in split.train]
    began = time.monotonic()
    setup.model.calibrate([case.prepared for case in learnt])
    calibrated_s = time.monotonic() - began
    if prepared_s is not None:
        config = _rest_of_budget(config, prepared_s + calibrated_s)
    trainer = Trainer(
        setup,
        TrainingCases(learnt, [by_id[name] for name in split.validation], {}, split.unvalidated),
        config,
        progress=lambda epoch, _done, _total: _report(report, epoch, config),
    )
    steps = StepTimes(trainer.steps.optimizer)
    result = trainer.fit()
    setup.load(result.checkpoint.version)
    return Training(
        steps=len(steps.ends),
        step_s=steps.median_s,
        epochs=result.epochs,
        seconds=result.checkpoint.seconds,
        calibrated_s=calibrated_s,
        wall_s=time.monotonic() - began,
    )


def refuse_other_weights(config: TrainConfig) -> None:
    """Refuse a recipe that is more than one training from scratch.

    Raises:
        InputError: it trains f_vt first, or begins with served weights.
    """
    if config.projection_share or config.start == "served":
        raise InputError(
            "projection_share or start in a recipe of a benchmark",
            expected="parameters of one training from scratch",
            remedy="leave them out; `zeus real` measures whole trainings through a server",
        )


def _rest_of_budget(config: TrainConfig, used_s: float) -> TrainConfig:
    budget_s = config.time_budget_s
    if budget_s is None:
        return config
    if budget_s <= used_s:
        raise InputError(
            f"a preparation of {used_s:.0f} s",
            expected=f"less than the {budget_s:g} s of the whole training",
            remedy="raise `seconds` in the suite, for every model alike",
        )
    return config.model_copy(update={"time_budget_s": budget_s - used_s})


def _report(report: Report, epoch: Epoch, config: TrainConfig) -> None:
    if config.time_budget_s is None:
        report("training, epochs", epoch.number - 1, config.epochs)
    else:
        seconds = min(round(epoch.seconds), round(config.time_budget_s))
        report("training, seconds", seconds, round(config.time_budget_s))
