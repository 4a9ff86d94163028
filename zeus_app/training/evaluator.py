"""How good a model is on a prepared case, at the size it decodes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from zeus_app.devices import autocast, moved
from zeus_app.models.fusion import label_indices, unite
from zeus_app.protocols import Model
from zeus_app.training.cases import Case
from zeus_app.types import FloatArray


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Compares a model's answers with the truth, as they would be served.

    Attributes:
        model: in evaluation mode.
        device: of the trainable part.
        union: how sequences unite.
        threshold: probability above which a pixel counts.
        batch_slices: slices at once.
    """

    model: Model
    device: torch.device
    union: str
    threshold: float
    batch_slices: int

    def volume_dsc(self, case: Case) -> float:
        """Mean DSC over the labels that the truth or the answer shows, per volume, at 256 px.

        Slices without tissue are never decoded: what the truth shows there is missed.

        Args:
            case: from this model's `prepare`.

        Returns:
            In [0, 1]; 1 where there is nothing to find and nothing was found.
        """
        unseen = sorted(set(range(len(case.shows))) - set(case.seen))
        total = _pixels(case.masks(unseen))
        overlap = np.zeros_like(total)
        for start in range(0, len(case.seen), self.batch_slices):
            picks = case.seen[start : start + self.batch_slices]
            found, truth = self._found(case, picks), case.masks(picks)
            overlap += _pixels(found & truth)
            total += _pixels(found) + _pixels(truth)
        shown = total > 0
        return float(np.mean(2 * overlap[shown] / total[shown])) if shown.any() else 1.0

    def expected_seconds(self, cases: Sequence[Case]) -> float:
        """How long it will take to judge these, by what one batch of the largest takes."""
        largest = max(cases, key=lambda case: len(case.seen))
        picks = largest.seen[: self.batch_slices]
        if not picks:
            return 0.0
        self._found(largest, picks[:1])  # whatever comes first is slower than what follows
        began = time.monotonic()
        self._found(largest, picks)
        took = time.monotonic() - began
        return took / len(picks) * sum(len(case.seen) for case in cases)

    @torch.inference_mode()
    def _found(self, case: Case, picks: Sequence[int]) -> torch.Tensor:
        """(B, K, 256, 256) bool; no pixel has two labels."""
        prepared = case.prepared.batch(picks)
        batch = {name: moved(value, self.device) for name, value in prepared.items()}
        with autocast(self.device):
            logits = self.model.logits(batch).float()
        probabilities = unite(logits, batch["present"], union=self.union)  # (B, K, 256, 256)
        labels = label_indices(probabilities.transpose(0, 1), threshold=self.threshold).cpu()
        values = torch.arange(1, probabilities.shape[1] + 1)
        return labels[:, None] == values[:, None, None]


def _pixels(masks: torch.Tensor) -> FloatArray:
    """How many of each label, (K,)."""
    return masks.sum(dim=(0, 2, 3)).double().numpy()
