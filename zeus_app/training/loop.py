"""The training loop. It is the same for Zeus and for every baseline."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch

from zeus_app.instructions.generate import WITHOUT_PICTURES
from zeus_app.settings.config import TrainConfig
from zeus_app.training.cases import TrainingCases, draw_batches
from zeus_app.training.checkpoint import UNTRAINED, CheckpointInfo
from zeus_app.training.clock import Clock
from zeus_app.training.evaluator import Evaluator
from zeus_app.training.predict import TakesSecondLook
from zeus_app.training.setup import TEXTS, TrainingSetup
from zeus_app.training.steps import Steps

Batches = Sequence[Sequence[tuple[int, int]]]
"""One epoch: batches of (case, slice) picks."""


@dataclass(frozen=True)
class Epoch:
    """One epoch of a training. Its fields are keys of the checkpoint's JSON.

    Attributes:
        number: counted from 1.
        loss: the union's loss, mean over the epoch's batches without the skipped ones.
        score: mean validation DSC over studies and labels in [0, 1]; None if not validated.
        learning_rate: learning rate at the end of the epoch.
        seconds: time since the training began, without interruptions.
    """

    number: int
    loss: float
    score: float | None
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Origin:
    """The versions that a training's weights come from, besides its own cases.

    Attributes:
        parent: version that the training starts from, or "untrained".
        ancestors: ids of the studies that those versions were trained on.
        patients: patients of all studies that the new version is trained on, ancestors included.
    """

    parent: str = UNTRAINED
    ancestors: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainResult:
    """The published checkpoint, all epochs, and the reason why the training ended."""

    checkpoint: CheckpointInfo
    epochs: tuple[Epoch, ...]
    stopped_because: str


Progress = Callable[[Epoch, int, int], None]
"""(the epoch so far, pieces done, pieces in all). Pieces are batches, then validated studies."""


def ignore_progress(epoch: Epoch, done: int, total: int) -> None:
    """Report nothing."""


@dataclass
class _Run:
    """The state of a training. Its fields but `epochs` are keys of the resume file's "run"."""

    epochs: list[Epoch] = field(default_factory=list)
    best_score: float = -1.0
    best_epoch: int = 0
    best_state: dict[str, torch.Tensor] = field(default_factory=dict)
    lowest_loss: float = float("inf")
    lowest_loss_epoch: int = 0
    ended: str = ""  # the reason; "" while the training runs


class Trainer:
    """Trains a model's trainable part on cases, and publishes the best weights.

    Args:
        setup: the model, its checkpoints and the settings of every training.
        cases: cases that the model prepared. Without validation cases the last epoch counts.
        config: the recipe.
        origin: the versions that the present weights come from.
        progress: called after every batch, and after every study of a validation.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        cases: TrainingCases,
        config: TrainConfig,
        *,
        origin: Origin | None = None,
        progress: Progress = ignore_progress,
    ) -> None:
        self.setup, self.cases, self.config = setup, cases, config
        self.origin = origin or Origin()
        self.progress = progress
        self.steps = Steps(setup, cases.train, config)
        self.evaluator = Evaluator(setup, config.batch_slices)
        self.clock = Clock(config.time_budget_s)
        self.run = _Run()

    def fit(self) -> TrainResult:
        """Train until the epochs, the time budget or the patience end; publish the best weights.

        Raises:
            InputError: losses stay non-finite, or one slice does not fit into memory. No checkpoint
                is then published.
        """
        self.clock.start(before=self._resume())
        if not self.run.ended and self.cases.validation and self.config.time_budget_s:
            self._net.eval()
            self.clock.validation_s = self.evaluator.expected_seconds(self.cases.validation)
        while not self.run.ended:
            self._train_epoch()
            self._save()
        checkpoints = self.setup.checkpoints
        info = checkpoints.publish(self._final_state(), self._info())
        checkpoints.resume_path.unlink(missing_ok=True)
        return TrainResult(info, tuple(self.run.epochs), self.run.ended)

    def _final_state(self) -> dict[str, torch.Tensor]:
        """The best validated weights, or the last ones, with the choice of the second look."""
        if self.run.best_state:
            self._net.load_state_dict(self.run.best_state)
        if isinstance(self.setup.model, TakesSecondLook):
            self.setup.model.choose_second_look(self.cases.train)
        return _copy_of(self._net)

    @property
    def identity(self) -> str:
        """Hash of recipe, cases and origin. An interrupted training resumes if it is the same."""
        parts = {
            "config": self.config.identity,
            "train": {case.id: case.digest for case in self.cases.train},
            "validation": {case.id: case.digest for case in self.cases.validation},
            "fitted_to": self.setup.trained_with,
            "parent": self.origin.parent,
            "union": self.setup.union,
            "threshold": self.setup.threshold,
        }
        if self.setup.fitted_to.get(TEXTS) == WITHOUT_PICTURES:  # older versions had no such scope
            parts[TEXTS] = WITHOUT_PICTURES
        text = json.dumps(parts, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def _net(self) -> torch.nn.Module:
        return self.setup.model.trainable

    def _train_epoch(self) -> None:
        number = len(self.run.epochs) + 1
        config = self.config
        rng = np.random.default_rng((config.seed, number))
        batches = list(
            draw_batches(
                self.cases.train, size=config.batch_slices, foreground=config.foreground, rng=rng
            )
        )
        epoch = self._train_batches(number, batches, rng)
        self.run.epochs.append(epoch)
        if epoch.loss < self.run.lowest_loss:
            self.run.lowest_loss, self.run.lowest_loss_epoch = epoch.loss, number
        reason = self._reason_to_stop()
        due = number % config.validate_every == 0 and self.clock.allows_validation
        if self.cases.validation and (due or reason):
            self._validate(epoch, len(batches))
        self.run.ended = reason or self._reason_to_stop()
        self.progress(self.run.epochs[-1], self._pieces(batches), self._pieces(batches))

    def _train_batches(self, number: int, batches: Batches, rng: np.random.Generator) -> Epoch:
        self._net.train()
        losses: list[float] = []
        while not losses:  # every step was skipped; `train_step` raises after too many
            for done, picks in enumerate(batches, start=1):
                epoch_share = (number - 1 + (done - 1) / len(batches)) / self.config.epochs
                self.steps.follow_schedule(min(1.0, max(epoch_share, self.clock.share)))
                loss = self.steps.train_step(picks, rng)
                if loss is None:
                    continue
                losses.append(loss)
                epoch = self._epoch(number, losses)
                if self.clock.share >= 1:
                    break
                if done < self._pieces(batches):
                    self.progress(epoch, done, self._pieces(batches))
        return epoch

    def _pieces(self, batches: Batches) -> int:
        return len(batches) + len(self.cases.validation)

    def _epoch(self, number: int, losses: Sequence[float]) -> Epoch:
        loss = float(np.mean(losses))
        return Epoch(number, loss, None, self.steps.learning_rate, self.clock.seconds)

    def _validate(self, epoch: Epoch, batches: int) -> None:
        """Score the present weights, and keep a copy of them if they are the best so far."""
        with self.clock.validating():
            score = self._mean_dsc(epoch, batches)
        self.run.epochs[-1] = replace(epoch, score=score, seconds=self.clock.seconds)
        if score > self.run.best_score:
            self.run.best_score, self.run.best_epoch = score, epoch.number
            self.run.best_state = _copy_of(self._net)

    def _mean_dsc(self, epoch: Epoch, batches: int) -> float:
        self._net.eval()
        studies = self.cases.validation
        scores: list[float] = []
        for done, case in enumerate(studies, start=1):
            scores.append(self.evaluator.volume_dsc(case))
            if done < len(studies):
                so_far = replace(epoch, seconds=self.clock.seconds)
                self.progress(so_far, batches + done, batches + len(studies))
        return float(np.mean(scores))

    def _reason_to_stop(self) -> str:
        """The reason to end the training now, or ""."""
        done = len(self.run.epochs)
        if done >= self.config.epochs:
            return f"all {done} epochs done"
        if done and self.clock.share >= 1:
            return f"time budget of {self.config.time_budget_s:g} s used up in epoch {done}"
        if done - self.run.lowest_loss_epoch >= self.config.early_stop:
            return f"training loss not lower for {self.config.early_stop} epochs"
        return ""

    def _info(self) -> CheckpointInfo:
        validated = bool(self.run.best_state)
        note = "best validation DSC" if validated else "last epoch; nothing was validated"
        if self.cases.unvalidated:
            note += f": {self.cases.unvalidated}"
        trained_on = {case.id for case in self.cases.train} | set(self.origin.ancestors)
        return CheckpointInfo(
            version="",
            created="",
            epoch=self.run.best_epoch if validated else len(self.run.epochs),
            score=self.run.best_score if validated else None,
            studies=tuple(sorted(trained_on)),
            patients=self.origin.patients,
            validation=tuple(case.id for case in self.cases.validation),
            fitted_to=self.setup.fitted_to,
            parent=self.origin.parent,
            left_out=dict(self.cases.skipped),
            note=note,
            settings=self.config.model_dump(mode="json"),
            epochs=tuple(vars(epoch) for epoch in self.run.epochs),
            seconds=self.clock.seconds,
            prepare_seconds=self.cases.prepare_seconds,
            identity=self.identity,
        )

    def _save(self) -> None:
        """Write the resume file after an epoch."""
        checkpoints, run = self.setup.checkpoints, self.run
        value = {
            "identity": self.identity,
            "info": asdict(self._info()),
            "model": self._net.state_dict(),
            "optimizer": self.steps.optimizer.state_dict(),
            "seconds": self.clock.seconds,
            "epochs": [vars(epoch) for epoch in run.epochs],
            "run": {name: item for name, item in vars(run).items() if name != "epochs"},
        }
        checkpoints.save(checkpoints.resume_path, value)

    def _resume(self) -> float:
        """Continue this training from the resume file, if it is of this training.

        Returns:
            The seconds that the training had used; 0 if it begins.
        """
        checkpoints = self.setup.checkpoints
        saved = checkpoints.interrupted() if self.config.resume else None
        if saved is None or saved["identity"] != self.identity:
            return 0.0
        self._net.load_state_dict(saved["model"])
        self.steps.optimizer.load_state_dict(saved["optimizer"])
        self.run = _Run(epochs=[Epoch(**epoch) for epoch in saved["epochs"]], **saved["run"])
        seconds: float = saved["seconds"]
        return seconds


def _copy_of(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().clone() for name, value in net.state_dict().items()}
