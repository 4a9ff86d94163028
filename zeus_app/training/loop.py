"""The training loop: the same for Zeus and for every baseline."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch

from zeus_app.protocols import Model
from zeus_app.settings.config import TrainConfig
from zeus_app.training.cases import Case, draw_batches
from zeus_app.training.checkpoint import UNTRAINED, CheckpointInfo, Checkpoints
from zeus_app.training.clock import Clock
from zeus_app.training.evaluator import Evaluator
from zeus_app.training.steps import Steps


@dataclass(frozen=True)
class Epoch:
    """One line of the training's story.

    Attributes:
        number: counted from 1.
        loss: of the union, mean over the epoch's batches that could be learnt from.
        score: mean validation DSC over patients and labels in [0, 1]; None when not measured.
        learning_rate: at the epoch's end.
        seconds: since the training began, interruptions not counted.
    """

    number: int
    loss: float
    score: float | None
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Origin:
    """Where a training's weights come from, besides its own cases.

    Attributes:
        fitted_to: what they belong to, by role: frozen towers, labels, sequences.
        parent: the version they start from, or "untrained".
        ancestors: ids of the studies that the weights it starts from have learnt from.
        patients: whose studies were learnt from, the ancestors among them.
        left_out: studies that could not be learnt from -> why.
        unvalidated: why no study is held back; empty if one is.
    """

    fitted_to: Mapping[str, str]
    parent: str = UNTRAINED
    ancestors: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    unvalidated: str = ""


@dataclass(frozen=True)
class TrainResult:
    """What a training came to."""

    checkpoint: CheckpointInfo
    epochs: tuple[Epoch, ...]
    stopped_because: str


Progress = Callable[[Epoch, int, int], None]
"""Told of (the epoch so far, pieces of it done, pieces in all): batches, then validated studies."""


@dataclass
class _Run:
    """The state of a training; all of it survives a kill."""

    epochs: list[Epoch] = field(default_factory=list)
    best_score: float = -1.0
    best_epoch: int = 0
    best_state: dict[str, torch.Tensor] = field(default_factory=dict)
    lowest_loss: float = float("inf")
    lowest_loss_epoch: int = 0
    ended: str = ""  # why; empty until then


class Trainer:
    """Fits a model's trainable part to cases.

    Args:
        model: prepared cases must come from it.
        train, validation: cases; validation may be empty, then the last epoch counts.
        config: the recipe.
        origin: where the weights come from; goes into the checkpoint.
        checkpoints: where every epoch and the best weights go.
        device: of the trainable part.
        union: how sequences unite, in the loss and in validation.
        threshold: probability above which a voxel counts, in validation.
        progress: told after every batch, and after every study of a validation.
    """

    def __init__(
        self,
        *,
        model: Model,
        train: Sequence[Case],
        validation: Sequence[Case],
        config: TrainConfig,
        origin: Origin,
        checkpoints: Checkpoints,
        device: torch.device,
        union: str,
        threshold: float,
        progress: Progress,
    ) -> None:
        self.model, self.config, self.checkpoints = model, config, checkpoints
        self.train, self.validation, self.origin = train, validation, origin
        self.progress = progress
        self.steps = Steps(model, train, config, device=device, union=union)
        self.judge = Evaluator(model, device, union, threshold, config.batch_slices)
        self.clock = Clock(config.time_budget_s)
        self.run = _Run()

    def fit(self) -> TrainResult:
        """Train until the epochs, the budget or the patience are used up; publish the best.

        Raises:
            InputError: the loss stays without finite numbers; nothing is published.
        """
        kept = self._resumed()
        self.clock.start(before=kept)
        if not self.run.ended and self.validation and self.config.time_budget_s:
            self.model.trainable.eval()
            self.clock.validation_s = self.judge.expected_seconds(self.validation)
        while not self.run.ended:
            self._one_epoch()
            self._keep()
        info = self.checkpoints.publish(self._chosen_state(), self._info())
        self.checkpoints.resume_path.unlink(missing_ok=True)
        return TrainResult(info, tuple(self.run.epochs), self.run.ended)

    @property
    def identity(self) -> str:
        """Equal for an interrupted training and the same training, asked for again."""
        parts = {
            "config": self.config.model_dump(mode="json"),
            "train": {case.id: case.digest for case in self.train},
            "validation": {case.id: case.digest for case in self.validation},
            "fitted_to": dict(self.origin.fitted_to),
            "parent": self.origin.parent,
            "union": self.judge.union,
            "threshold": self.judge.threshold,
        }
        text = json.dumps(parts, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def _one_epoch(self) -> None:
        number = len(self.run.epochs) + 1
        rng = np.random.default_rng((self.config.seed, number))
        size = self.config.batch_slices
        batches = list(
            draw_batches(self.train, size=size, foreground=self.config.foreground, rng=rng)
        )
        epoch = self._learn(number, batches, rng)
        self.run.epochs.append(epoch)
        if epoch.loss < self.run.lowest_loss:
            self.run.lowest_loss, self.run.lowest_loss_epoch = epoch.loss, number
        why = self._why_to_stop()
        due = number % self.config.validate_every == 0 and self.clock.allows_validation
        if self.validation and (due or why):
            self._judge(epoch, len(batches))
        self.run.ended = why or self._why_to_stop()
        self.progress(self.run.epochs[-1], self._pieces(batches), self._pieces(batches))

    def _learn(
        self,
        number: int,
        batches: Sequence[Sequence[tuple[int, int]]],
        rng: np.random.Generator,
    ) -> Epoch:
        self.model.trainable.train()
        losses: list[float] = []
        while not losses:  # skipped steps come to an end, by an error if need be
            for done, picks in enumerate(batches, start=1):
                self._follow_schedule((number - 1 + (done - 1) / len(batches)) / self.config.epochs)
                loss = self.steps.take(picks, rng)
                if loss is None:
                    continue
                losses.append(loss)
                epoch = self._epoch(number, losses)
                if self.clock.share >= 1:
                    break
                if done < self._pieces(batches):
                    self.progress(epoch, done, self._pieces(batches))
        return epoch

    def _pieces(self, batches: Sequence[object]) -> int:
        return len(batches) + len(self.validation)

    def _epoch(self, number: int, losses: Sequence[float]) -> Epoch:
        return Epoch(number, float(np.mean(losses)), None, self.steps.rate, self.clock.seconds)

    def _follow_schedule(self, epoch_share: float) -> None:
        self.steps.follow_schedule(min(1.0, max(epoch_share, self.clock.share)))

    def _judge(self, epoch: Epoch, batches: int) -> None:
        with self.clock.validating():
            score = self._validate(epoch, batches)
        self.run.epochs[-1] = replace(epoch, score=score, seconds=self.clock.seconds)
        if score > self.run.best_score:
            self.run.best_score, self.run.best_epoch = score, epoch.number
            self.run.best_state = _copy_of(self.model.trainable.state_dict())

    def _validate(self, epoch: Epoch, batches: int) -> float:
        """Mean DSC over studies."""
        self.model.trainable.eval()
        scores: list[float] = []
        for done, case in enumerate(self.validation, start=1):
            scores.append(self.judge.volume_dsc(case))
            if done < len(self.validation):
                so_far = replace(epoch, seconds=self.clock.seconds)
                self.progress(so_far, batches + done, batches + len(self.validation))
        return float(np.mean(scores))

    def _why_to_stop(self) -> str:
        done = len(self.run.epochs)
        if done >= self.config.epochs:
            return f"all {done} epochs done"
        if done and self.clock.share >= 1:
            return f"time budget of {self.config.time_budget_s:g} s used up in epoch {done}"
        if done - self.run.lowest_loss_epoch >= self.config.early_stop:
            return f"training loss not lower for {self.config.early_stop} epochs"
        return ""

    def _chosen_state(self) -> dict[str, torch.Tensor]:
        return self.run.best_state or _copy_of(self.model.trainable.state_dict())

    def _info(self) -> CheckpointInfo:
        validated = bool(self.run.best_state)
        note = "best validation DSC" if validated else "last epoch; nothing was validated"
        if self.origin.unvalidated:
            note += f": {self.origin.unvalidated}"
        return CheckpointInfo(
            version="",
            created="",
            epoch=self.run.best_epoch if validated else len(self.run.epochs),
            score=self.run.best_score if validated else None,
            studies=tuple(sorted({case.id for case in self.train} | set(self.origin.ancestors))),
            patients=self.origin.patients,
            validation=tuple(case.id for case in self.validation),
            fitted_to=dict(self.origin.fitted_to),
            parent=self.origin.parent,
            left_out=dict(self.origin.left_out),
            note=note,
            settings=self.config.model_dump(mode="json"),
            epochs=tuple(vars(epoch) for epoch in self.run.epochs),
            seconds=self.clock.seconds,
            identity=self.identity,
        )

    def _keep(self) -> None:
        run = self.run
        value = {
            "identity": self.identity,
            "info": asdict(self._info()),
            "model": self.model.trainable.state_dict(),
            "optimizer": self.steps.optimizer.state_dict(),
            "seconds": self.clock.seconds,
            "epochs": [vars(epoch) for epoch in run.epochs],
            "run": {name: item for name, item in vars(run).items() if name != "epochs"},
        }
        self.checkpoints.save(self.checkpoints.resume_path, value)

    def _resumed(self) -> float:
        """Take up this training where it was interrupted, if it was; returns the seconds it had."""
        path = self.checkpoints.resume_path
        if not self.config.resume or not path.exists():
            return 0.0
        kept = self.checkpoints.read(path)
        if kept["identity"] != self.identity:
            return 0.0
        self.model.trainable.load_state_dict(kept["model"])
        self.steps.optimizer.load_state_dict(kept["optimizer"])
        self.run = _Run(epochs=[Epoch(**epoch) for epoch in kept["epochs"]], **kept["run"])
        seconds: float = kept["seconds"]
        return seconds


def _copy_of(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().clone() for name, value in state.items()}
