"""The training loop: the same for Zeus and for every baseline."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from zeus_app.config import TrainConfig
from zeus_app.devices import autocast, moved, out_of_memory, release_memory
from zeus_app.protocols import Batch, Model
from zeus_app.training.cases import Case, collate, draw_batches
from zeus_app.training.checkpoint import UNTRAINED, CheckpointInfo, Checkpoints
from zeus_app.training.judge import volume_dsc
from zeus_app.training.losses import UnionLoss


@dataclass(frozen=True)
class Epoch:
    """One line of the training's story.

    Attributes:
        number: counted from 1.
        loss: of the union, mean over the epoch's batches.
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
        ancestors: ids of the studies that the parent learnt from.
        left_out: studies that could not be learnt from -> why.
    """

    fitted_to: Mapping[str, str]
    parent: str = UNTRAINED
    ancestors: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainResult:
    """What a training came to."""

    checkpoint: CheckpointInfo
    epochs: tuple[Epoch, ...]
    stopped_because: str


Progress = Callable[[Epoch, int, int], None]
"""Told of (the epoch so far, batches done, batches in it)."""


@dataclass
class _Run:
    """The state of a training; all of it survives a kill."""

    epochs: list[Epoch] = field(default_factory=list)
    best_score: float = -1.0
    best_epoch: int = 0
    best_state: dict[str, torch.Tensor] = field(default_factory=dict)
    lowest_loss: float = float("inf")
    lowest_loss_epoch: int = 0


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
        progress: told after every batch.
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
        progress: Progress,
    ) -> None:
        self.model, self.config, self.checkpoints = model, config, checkpoints
        self.train, self.validation, self.origin = train, validation, origin
        self.device, self.union, self.progress = device, union, progress
        self.loss = UnionLoss(
            sequence_weight=config.sequence_loss_first, union=union, balance=config.balance
        )
        self.optimizer = torch.optim.Adam(
            model.trainable.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self.at_once = config.batch_slices
        self.run = _Run()
        self.elapsed_before = 0.0
        self.started = time.monotonic()

    def fit(self) -> TrainResult:
        """Train until the epochs, the budget or the patience are used up; publish the best."""
        if self.config.resume:
            self._resume()
        self.started = time.monotonic()
        why = self._why_to_stop()
        while why is None:
            self._one_epoch()
            self._keep()
            why = self._why_to_stop()
        info = self.checkpoints.publish(self._chosen_state(), self._info())
        self.checkpoints.resume_path.unlink(missing_ok=True)
        return TrainResult(info, tuple(self.run.epochs), why)

    @property
    def seconds(self) -> float:
        """Wall-clock training time so far, without what an interruption lost."""
        return self.elapsed_before + time.monotonic() - self.started

    def _one_epoch(self) -> None:
        number = len(self.run.epochs) + 1
        rng = np.random.default_rng((self.config.seed, number))
        size = self.config.batch_slices
        batches = list(
            draw_batches(self.train, size=size, foreground=self.config.foreground, rng=rng)
        )
        self.model.trainable.train()
        losses: list[float] = []
        for done, picks in enumerate(batches, start=1):
            self._follow_schedule((number - 1 + (done - 1) / len(batches)) / self.config.epochs)
            losses.append(self._step(picks))
            epoch = Epoch(number, float(np.mean(losses)), None, self._rate(), self.seconds)
            if self._budget_share() >= 1:
                break
            if done < len(batches):
                self.progress(epoch, done, len(batches))
        self.run.epochs.append(epoch)
        self._judge(epoch)
        self.progress(self.run.epochs[-1], len(batches), len(batches))

    def _step(self, picks: Sequence[tuple[int, int]]) -> float:
        """One step of the optimiser; in parts from the day on that the memory does not hold one."""
        while True:
            try:
                return self._step_in_parts(picks)
            except torch.OutOfMemoryError as error:
                if self.at_once == 1:
                    raise out_of_memory(error) from error
                self.at_once = max(1, min(self.at_once, len(picks)) // 2)
            release_memory()

    def _step_in_parts(self, picks: Sequence[tuple[int, int]]) -> float:
        """Gradients of the parts add up to the whole's, but that Dice is counted in each part."""
        self.optimizer.zero_grad(set_to_none=True)
        union = 0.0
        for start in range(0, len(picks), self.at_once):
            part = picks[start : start + self.at_once]
            share = len(part) / len(picks)
            loss, own = self._loss_of(part)
            torch.autograd.backward(loss * share)
            union += float(own.detach()) * share
        self.optimizer.step()
        return union

    def _loss_of(self, picks: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        batch, masks = collate(self.train, picks)
        batch = self._to_device(batch)
        with autocast(self.device):
            logits = self.model.logits(batch)
        loss, union = self.loss(logits, batch["present"], moved(masks, self.device))
        return loss, union

    def _to_device(self, batch: Batch) -> Batch:
        return {name: moved(value, self.device) for name, value in batch.items()}

    def _follow_schedule(self, epoch_share: float) -> None:
        """Set the learning rate and the sequences' weight for where the training is."""
        config = self.config
        progress = min(1.0, max(epoch_share, self._budget_share()))
        rate = config.learning_rate * (1 - progress) ** config.poly_power
        if progress < config.warm_up:
            rate *= progress / config.warm_up
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        first, last = config.sequence_loss_first, config.sequence_loss
        self.loss.sequence_weight = first + (last - first) * progress

    def _rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def _budget_share(self) -> float:
        budget = self.config.time_budget_s
        return 0.0 if budget is None else self.seconds / budget

    def _judge(self, epoch: Epoch) -> None:
        if epoch.loss < self.run.lowest_loss:
            self.run.lowest_loss, self.run.lowest_loss_epoch = epoch.loss, epoch.number
        last = self._why_to_stop() is not None
        if not self.validation or (epoch.number % self.config.validate_every and not last):
            return
        score = self._validate()
        self.run.epochs[-1] = replace(epoch, score=score, seconds=self.seconds)
        if score > self.run.best_score:
            self.run.best_score, self.run.best_epoch = score, epoch.number
            self.run.best_state = _copy_of(self.model.trainable.state_dict())

    def _validate(self) -> float:
        """Mean DSC over patients."""
        self.model.trainable.eval()
        scores = [
            volume_dsc(
                self.model,
                case,
                device=self.device,
                union=self.union,
                batch_slices=self.config.batch_slices,
            )
            for case in self.validation
        ]
        return float(np.mean(scores))

    def _why_to_stop(self) -> str | None:
        done = len(self.run.epochs)
        if done >= self.config.epochs:
            return f"all {done} epochs done"
        if done and self._budget_share() >= 1:
            return f"time budget of {self.config.time_budget_s:g} s used up in epoch {done}"
        if done - self.run.lowest_loss_epoch >= self.config.early_stop:
            return f"training loss not lower for {self.config.early_stop} epochs"
        return None

    def _chosen_state(self) -> dict[str, torch.Tensor]:
        return self.run.best_state or _copy_of(self.model.trainable.state_dict())

    def _info(self) -> CheckpointInfo:
        validated = bool(self.run.best_state)
        note = (
            "best validation DSC"
            if validated
            else "last epoch; too few patients or none held back, so nothing was validated"
        )
        return CheckpointInfo(
            version="",
            created="",
            epoch=self.run.best_epoch if validated else len(self.run.epochs),
            score=self.run.best_score if validated else None,
            studies=tuple(sorted({case.id for case in self.train} | set(self.origin.ancestors))),
            validation=tuple(case.id for case in self.validation),
            fitted_to=dict(self.origin.fitted_to),
            parent=self.origin.parent,
            left_out=dict(self.origin.left_out),
            note=note,
            settings=self.config.model_dump(mode="json"),
            epochs=tuple(vars(epoch) for epoch in self.run.epochs),
            seconds=self.seconds,
        )

    def _identity(self) -> dict[str, Any]:
        """What must be equal for an interrupted training to be the same training."""
        return {
            "config": self.config.model_dump(mode="json"),
            "train": {case.id: case.masks_digest for case in self.train},
            "validation": {case.id: case.masks_digest for case in self.validation},
            "fitted_to": dict(self.origin.fitted_to),
            "parent": self.origin.parent,
        }

    def _keep(self) -> None:
        run = self.run
        value = {
            "identity": self._identity(),
            "info": asdict(self._info()),
            "model": self.model.trainable.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "seconds": self.seconds,
            "epochs": [vars(epoch) for epoch in run.epochs],
            "run": {name: item for name, item in vars(run).items() if name != "epochs"},
        }
        self.checkpoints.save(self.checkpoints.resume_path, value)

    def _resume(self) -> None:
        path = self.checkpoints.resume_path
        if not path.exists():
            return
        kept = self.checkpoints.read(path)
        if kept["identity"] != self._identity():
            return
        self.model.trainable.load_state_dict(kept["model"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.elapsed_before = kept["seconds"]
        self.run = _Run(epochs=[Epoch(**epoch) for epoch in kept["epochs"]], **kept["run"])


def _copy_of(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().clone() for name, value in state.items()}
