"""The steps of the optimiser: as large as memory allows, and only where numbers are numbers."""

import logging
import math
from collections.abc import Sequence

import numpy as np
import torch

from zeus_app.devices import autocast, moved, out_of_memory, release_memory
from zeus_app.errors import InputError
from zeus_app.protocols import Model
from zeus_app.settings.config import TrainConfig
from zeus_app.training.augment import random_affine
from zeus_app.training.cases import Case, collate
from zeus_app.training.losses import UnionLoss

MOST_SKIPPED = 5
"""Steps in a row that may fail before the training does: by then it is no accident."""

logger = logging.getLogger(__name__)


class Steps:
    """Moves a model's trainable part along the gradients of the loss.

    Args:
        model: what learns.
        cases: what it learns from.
        config: the recipe.
        device: of the trainable part.
        union: how sequences unite.

    Attributes:
        optimizer: Adam; its state belongs to a training's.
        at_once: how many slices the memory is asked to hold.
    """

    def __init__(
        self,
        model: Model,
        cases: Sequence[Case],
        config: TrainConfig,
        *,
        device: torch.device,
        union: str,
    ) -> None:
        self._model, self._cases = model, cases
        self._config, self._device = config, device
        self._loss = UnionLoss(
            sequence_weight=config.sequence_loss_first, union=union, balance=config.balance
        )
        self.optimizer = torch.optim.Adam(
            model.trainable.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self.at_once = config.batch_slices
        self._skipped = 0

    @property
    def rate(self) -> float:
        """The learning rate."""
        return float(self.optimizer.param_groups[0]["lr"])

    def follow_schedule(self, progress: float) -> None:
        """Set the learning rate and the sequences' weight for where the training is, in [0, 1]."""
        config = self._config
        rate = config.learning_rate * (1 - progress) ** config.poly_power
        if progress < config.warm_up:
            rate *= progress / config.warm_up
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        first, last = config.sequence_loss_first, config.sequence_loss
        self._loss.sequence_weight = first + (last - first) * progress

    def take(self, picks: Sequence[tuple[int, int]], rng: np.random.Generator) -> float | None:
        """One step on these (case, slice) draws; `rng` moves them about.

        Returns:
            The union's loss; None when the step was skipped, for one step along what is not a
            number makes all weights none.

        Raises:
            InputError: too many were skipped in a row, or the memory does not hold one slice.
        """
        whole, union = self._gradients(picks, rng)
        gradients = [p.grad for p in self._model.trainable.parameters() if p.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(gradients))
        if not math.isfinite(whole) or not math.isfinite(norm):
            self._skip(f"loss {whole:g}, gradient norm {norm:g}")
            return None
        self.optimizer.step()
        self._skipped = 0
        return union

    def _skip(self, why: str) -> None:
        self._skipped += 1
        logger.warning("training step skipped: %s", why)
        if self._skipped == MOST_SKIPPED:
            raise InputError(
                f"{MOST_SKIPPED} training steps in a row without finite numbers (last: {why})",
                expected="finite losses and gradients; nothing was published",
                remedy="lower learning_rate, set start to scratch, or leave studies out with"
                " exclude",
            )

    def _gradients(
        self, picks: Sequence[tuple[int, int]], rng: np.random.Generator
    ) -> tuple[float, float]:
        """Fill in the gradients; in parts from the day on that the memory does not hold all."""
        while True:
            try:
                return self._gradients_in_parts(picks, rng)
            except torch.OutOfMemoryError as error:
                if self.at_once == 1:
                    raise out_of_memory(error) from error
                self.at_once = max(1, min(self.at_once, len(picks)) // 2)
            release_memory()

    def _gradients_in_parts(
        self, picks: Sequence[tuple[int, int]], rng: np.random.Generator
    ) -> tuple[float, float]:
        """Gradients of the parts add up to the whole's, but that Dice is counted in each part.

        Returns:
            The loss, and the union's own part of it.
        """
        self.optimizer.zero_grad(set_to_none=True)
        whole = union = 0.0
        for start in range(0, len(picks), self.at_once):
            part = picks[start : start + self.at_once]
            share = len(part) / len(picks)
            loss, own = self._loss_of(part, rng)
            torch.autograd.backward(loss * share)
            whole += float(loss.detach()) * share
            union += float(own.detach()) * share
        return whole, union

    def _loss_of(
        self, picks: Sequence[tuple[int, int]], rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        batch, masks = collate(self._cases, picks)
        batch = {name: moved(value, self._device) for name, value in batch.items()}
        masks = moved(masks, self._device)
        if self._config.augment:
            batch, masks = random_affine(batch, masks, strength=self._config.augment, rng=rng)
        with autocast(self._device):
            logits = self._model.logits(batch)
        loss, union = self._loss(logits, batch["present"], masks)
        return loss, union
