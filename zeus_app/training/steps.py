"""Optimiser steps; skips non-finite gradients and splits batches when memory runs out."""

import logging
import math
from collections.abc import Sequence

import numpy as np
import torch

from zeus_app.devices import autocast, out_of_memory_error, release_memory, to_device
from zeus_app.errors import InputError
from zeus_app.settings.config import TrainConfig
from zeus_app.training.augment import (
    drop_sequences,
    hide_embeddings,
    random_affine,
    random_intensity,
)
from zeus_app.training.cases import Case, collate, has_small_structures
from zeus_app.training.losses import UnionLoss
from zeus_app.training.setup import TrainingSetup

MOST_SKIPPED = 5
"""So many skipped steps in a row end the training with an error."""

logger = logging.getLogger(__name__)


class Steps:
    """Adam steps of a model's trainable part on the union loss.

    Args:
        setup: model, device and union.
        cases: cases to learn from.
        config: learning rate, schedule, loss weights and augmentation.

    Attributes:
        optimizer: Adam. The resume file holds its state.
        batch_limit: slices per forward pass. It is halved when memory runs out.
    """

    def __init__(self, setup: TrainingSetup, cases: Sequence[Case], config: TrainConfig) -> None:
        self._model, self._device = setup.model, setup.device
        self._cases, self._config = cases, config
        self._loss = UnionLoss(sequence_weight=config.sequence_loss_first, balance=config.balance)
        self.optimizer = torch.optim.Adam(
            setup.model.trainable.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        small = has_small_structures(cases)
        self._pixels_alone = config.pixels_alone if small else 0
        self._balance_first = config.balance_first if small else 0
        self._clip = config.clip_gradient or math.inf
        self.batch_limit = config.batch_slices
        self._skipped = 0

    @property
    def learning_rate(self) -> float:
        """The present learning rate."""
        return float(self.optimizer.param_groups[0]["lr"])

    def follow_schedule(self, progress: float) -> None:
        """Set learning rate and sequence weight for the progress of the training, in [0, 1]."""
        config = self._config
        rate = config.learning_rate * (1 - progress) ** config.poly_power
        if progress < config.warm_up:
            rate *= progress / config.warm_up
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        first, last = config.sequence_loss_first, config.sequence_loss
        self._loss.sequence_weight = first + (last - first) * progress
        last_share = max(config.balance, self._balance_first / 4)
        surplus = max(0.0, self._balance_first - last_share)
        self._loss.balance = last_share + surplus * (1 - progress)

    def train_step(
        self, picks: Sequence[tuple[int, int]], rng: np.random.Generator
    ) -> float | None:
        """Take one step on these (case, slice) picks.

        Args:
            picks: indices into the cases, and axial slices.
            rng: random generator of the augmentation.

        Returns:
            The union's loss. None if loss or gradients are not finite: the step is then skipped,
            because it would make all weights NaN.

        Raises:
            InputError: `MOST_SKIPPED` steps in a row were skipped, or one slice does not fit into
                memory.
        """
        total, union = self._gradients(picks, rng)
        parameters = self._model.trainable.parameters()
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self._clip))
        if not math.isfinite(total) or not math.isfinite(norm):
            self._skip(f"loss {total:g}, gradient norm {norm:g}")
            return None
        self.optimizer.step()
        self._skipped = 0
        return union

    def _skip(self, reason: str) -> None:
        self._skipped += 1
        logger.warning("training step skipped: %s", reason)
        if self._skipped == MOST_SKIPPED:
            raise InputError(
                f"{MOST_SKIPPED} training steps in a row without finite numbers (last: {reason})",
                expected="finite losses and gradients; no checkpoint was published",
                remedy=f"lower learning_rate, for example to {self._config.learning_rate / 10:g};"
                " set start to scratch; or name a faulty study in exclude",
            )

    def _gradients(
        self, picks: Sequence[tuple[int, int]], rng: np.random.Generator
    ) -> tuple[float, float]:
        """Compute the gradients; halve `batch_limit` and try again when memory runs out."""
        while True:
            try:
                return self._gradients_in_parts(picks, rng)
            except torch.OutOfMemoryError as error:
                if self.batch_limit == 1:
                    raise out_of_memory_error(error) from error
                self.batch_limit = max(1, min(self.batch_limit, len(picks)) // 2)
            release_memory()

    def _gradients_in_parts(
        self, picks: Sequence[tuple[int, int]], rng: np.random.Generator
    ) -> tuple[float, float]:
        """Add up the gradients of parts of at most `batch_limit` slices.

        The sum equals the gradient of the whole batch, except that Dice is computed per part.

        Returns:
            The total loss, and the union's share of it.
        """
        self.optimizer.zero_grad(set_to_none=True)
        total = union = 0.0
        for start in range(0, len(picks), self.batch_limit):
            part = picks[start : start + self.batch_limit]
            weight = len(part) / len(picks)
            part_loss, part_union = self._loss_of(part, rng)
            torch.autograd.backward(part_loss * weight)
            total += float(part_loss.detach()) * weight
            union += float(part_union.detach()) * weight
        return total, union

    def _loss_of(
        self, picks: Sequence[tuple[int, int]], rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        batch, masks = collate(self._cases, picks)
        batch = {name: to_device(value, self._device) for name, value in batch.items()}
        masks = to_device(masks, self._device)
        if self._config.augment:
            batch, masks = random_affine(batch, masks, strength=self._config.augment, rng=rng)
        if self._config.intensity:
            batch = random_intensity(batch, strength=self._config.intensity, rng=rng)
        if self._pixels_alone:
            batch = hide_embeddings(batch, share=self._pixels_alone, rng=rng)
        if self._config.sequence_dropout:
            batch = drop_sequences(batch, share=self._config.sequence_dropout, rng=rng)
        with autocast(self._device):
            decoded = self._model.decode(batch, branches=self._loss.sequence_weight > 0)
        total, union = self._loss(decoded, batch["present"], masks)
        return total, union
