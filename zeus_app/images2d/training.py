"""Training on 2-D images, in the recipe of LLM4Seg's published code."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from zeus_app.devices import autocast
from zeus_app.errors import InputError
from zeus_app.images2d.image_set import ImageSet
from zeus_app.images2d.run import CHOSE, TRAINED, RunFolder, RunSettings, write_rows
from zeus_app.images2d.split import Split
from zeus_app.metrics import mean_dice, miou
from zeus_app.progress import Report, silent

SaveWeights = Callable[[Mapping[str, torch.Tensor]], None]

_VALIDATIONS = 10
"""A training is validated about so many times."""
_LEARNING_TO_VALIDATION = 5
"""A validation comes after so many times its own duration of learning."""
_SMOOTH = 1e-5
EPOCHS_STAGE = "training, steps"
SECONDS_STAGE = "training, seconds"


@dataclass(frozen=True)
class ImageRecipe:
    """How a network learns. The defaults are those of the published code.

    Attributes:
        epochs: passes over the training images; with `seconds` there is no such limit.
        seconds: longest duration, with validation; None for no limit.
        batch: images in a step.
        learning_rate: of SGD, at the beginning.
        momentum: of SGD.
        weight_decay: of SGD.
        poly_power: the learning rate falls as (1 - progress)^poly_power.
        seed: seed of the order of images and of their augmentation.
    """

    epochs: int = 300
    seconds: float | None = None
    batch: int = 8
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-4
    poly_power: float = 0.9
    seed: int = 0


@dataclass(frozen=True)
class Validation:
    """One row of the course of a training.

    Attributes:
        step: steps so far.
        seconds: wall-clock time so far.
        loss: mean training loss since the last row.
        dsc: mean Dice of the validation images in the network's size; None without validation.
        iou: mean IoU of the same, without the background.
    """

    step: int
    seconds: float
    loss: float
    dsc: float | None
    iou: float | None


@dataclass
class ImageTrainer:
    """Trains one network. The weights with the best validation are saved.

    Attributes:
        network: (B, 3, E, E) -> (B, K, E, E) logits; already on the device.
        train: images to learn from.
        validation: images that choose the weights; without any, the last weights are saved.
        recipe: how to learn.
        device: device of the network.
        save: called with the state dict, at each validation that is the best so far.
        report: called after each step.
        course: one row for each validation.
    """

    network: nn.Module
    train: ImageSet
    validation: ImageSet | None
    recipe: ImageRecipe
    device: torch.device
    save: SaveWeights
    report: Report = silent
    course: list[Validation] = field(default_factory=list)
    _validation_s: float = 0.0
    _validated: float = 0.0

    def fit(self) -> Validation:
        """Train. Returns the row of the saved weights.

        Raises:
            InputError: the loss is not finite any more.
        """
        recipe, began = self.recipe, time.monotonic()
        learning = [value for value in self.network.parameters() if value.requires_grad]
        optimizer = torch.optim.SGD(
            learning,
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        losses: list[float] = []
        step = 0
        for step, (images, masks) in enumerate(self._batches(), start=1):
            losses.append(self._step(optimizer, images, masks))
            seconds = time.monotonic() - began
            done = self._progress(step, seconds)
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * (1 - done) ** recipe.poly_power
            if done >= 1:
                break
            if self._is_due(done, seconds):
                self._validate(step, began, losses)
                self._validated = done
        self._validate(step, began, losses)
        if recipe.seconds is not None:
            whole = max(round(recipe.seconds), 1)
            self.report(SECONDS_STAGE, whole, whole)
        return best_of(self.course)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch; the last images of an epoch are left out if they fill no batch."""
        return max(len(self.train) // self.recipe.batch, 1)

    def _batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Augmented batches, without end."""
        rng = np.random.default_rng(self.recipe.seed)
        while True:
            order = rng.permutation(len(self.train))
            for i in range(self.steps_per_epoch):
                rows = order[i * self.recipe.batch : (i + 1) * self.recipe.batch]
                yield self.train.batch(rows.tolist(), rng)

    def _step(
        self, optimizer: torch.optim.Optimizer, images: torch.Tensor, masks: torch.Tensor
    ) -> float:
        self.network.train()
        with autocast(self.device):
            logits = self.network(images.to(self.device))
        loss = bce_dice(logits.float(), masks.to(self.device))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        value = float(loss.detach())
        if not np.isfinite(value):
            raise InputError(
                f"a training with learning rate {self.recipe.learning_rate:g}, whose loss became"
                f" {value}",
                expected="a finite loss",
                remedy="train again with a lower --learning-rate, for example 0.001",
            )
        return value

    def _progress(self, step: int, seconds: float) -> float:
        """Share of the training that is done, in [0, 1]; reported too."""
        if self.recipe.seconds is None:
            total = self.recipe.epochs * self.steps_per_epoch
            self.report(EPOCHS_STAGE, step, total)
            return min(step / total, 1)
        budget = max(self.recipe.seconds - self._validation_s, 1e-9)
        whole = max(round(self.recipe.seconds), 1)
        self.report(SECONDS_STAGE, min(round(seconds), whole), whole)
        return min(seconds / budget, 1)

    def _is_due(self, done: float, seconds: float) -> bool:
        """Whether to validate: ten times a training; of a time limit at most a sixth of it."""
        if self.recipe.seconds is not None:
            since = seconds - (self.course[-1].seconds if self.course else 0)
            if since < _LEARNING_TO_VALIDATION * self._validation_s:
                return False
        return done - self._validated >= 1 / _VALIDATIONS

    def _validate(self, step: int, began: float, losses: list[float]) -> None:
        """Score the validation images, and save the weights if they are the best."""
        started = time.monotonic()
        dsc, iou = (None, None) if self.validation is None else self._score(self.validation)
        now = time.monotonic()
        self._validation_s = now - started
        loss = float(np.mean(losses)) if losses else float("nan")
        losses.clear()
        self.course.append(Validation(step, now - began, loss, dsc, iou))
        if best_of(self.course) is self.course[-1]:
            self.save(self.network.state_dict())

    def _score(self, images: ImageSet) -> tuple[float, float]:
        """Mean Dice and mean IoU over the images, in the network's size."""
        self.network.eval()
        values = tuple(range(1, images.classes.count + 1))
        scores = []
        for i in range(len(images)):
            pixels, _ = images.batch([i])
            with torch.inference_mode(), autocast(self.device):
                logits = self.network(pixels.to(self.device))
            labels = labels_of(logits[0].float().sigmoid().cpu())
            truth = images.labels[i]
            scores.append((mean_dice(labels, truth, values), miou(labels, truth, values)))
        dsc, iou = np.mean(scores, axis=0)
        return float(dsc), float(iou)


def train_run(
    run: RunFolder,
    settings: RunSettings,
    images: ImageSet,
    split: Split,
    recipe: ImageRecipe,
    *,
    device: torch.device,
    report: Report = silent,
) -> Validation:
    """Train the network of a run, and write the run's folder.

    Settings and split are written first, the weights at each validation that is the best so far.

    Returns:
        The row of the saved weights.

    Raises:
        InputError: the LLM's weights are missing, or the loss is not finite any more.
    """
    train, validation = images.chosen(split.train), images.chosen(split.validation)
    network = settings.network().to(device)
    roles = {**dict.fromkeys(validation.hashes, CHOSE), **dict.fromkeys(train.hashes, TRAINED)}
    run.begin(settings, split, roles)
    trainer = ImageTrainer(
        network,
        train=train,
        validation=validation if split.validation else None,
        recipe=recipe,
        device=device,
        save=run.save_weights,
        report=report,
    )
    best = trainer.fit()
    write_rows(run.path / "course.csv", [asdict(row) for row in trainer.course])
    return best


def best_of(course: list[Validation]) -> Validation:
    """The row with the best IoU, the last of equals; the last row without validation."""
    return max(reversed(course), key=lambda row: row.iou or 0.0)


def bce_dice(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """0.5 · BCE + Dice loss, of each image and class alone, then their mean.

    Args:
        logits: (B, K, H, W).
        masks: (B, K, H, W) in {0, 1}.
    """
    bce = F.binary_cross_entropy_with_logits(logits, masks)
    probabilities, axes = logits.sigmoid(), (2, 3)
    overlap = (probabilities * masks).sum(axes)
    total = probabilities.sum(axes) + masks.sum(axes)
    dice = (2 * overlap + _SMOOTH) / (total + _SMOOTH)
    return 0.5 * bce + 1 - dice.mean()


def labels_of(probabilities: torch.Tensor) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    """(K, H, W) probabilities -> (H, W) uint8: the likeliest class above 0.5, else 0."""
    best, number = probabilities.max(dim=0)
    labels: np.ndarray[tuple[int, int], np.dtype[np.uint8]] = (
        torch.where(best > 0.5, number + 1, 0).to(torch.uint8).numpy()
    )
    return labels
