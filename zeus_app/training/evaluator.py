"""Validation: Dice of a model's masks on prepared cases, at 256×256 pixels."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from zeus_app.models.fusion import label_indices
from zeus_app.training.cases import Case
from zeus_app.training.predict import predict
from zeus_app.training.setup import TrainingSetup
from zeus_app.types import FloatArray, LabelArray


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Compares a model's masks with the labels, united and thresholded as in inference.

    Attributes:
        setup: its model must be in evaluation mode.
        batch_slices: slices per forward pass.
        second_look: False compares the masks of the model's first look.
    """

    setup: TrainingSetup
    batch_slices: int
    second_look: bool = True

    def volume_dsc(self, case: Case) -> float:
        """Mean Dice over the labels that the label or the prediction shows, per volume.

        Slices without tissue are not decoded, so a label there counts as missed.

        Args:
            case: prepared by this model.

        Returns:
            DSC in [0, 1]; 1 if neither the label nor the prediction shows anything.
        """
        without_tissue = sorted(set(range(len(case.shows))) - set(case.tissue_slices))
        overlap, total = self._count(case, case.tissue_slices)
        return _mean_dice(overlap, total + _pixels(case.masks(without_tissue)))

    def slices_dsc(self, chosen: Sequence[tuple[Case, Sequence[int]]]) -> float:
        """Mean Dice over the labels that the slices show, with the pixels of all slices together.

        Args:
            chosen: cases prepared by this model, each with axial slices that show tissue.

        Returns:
            DSC in [0, 1]; 1 if neither labels nor predictions show anything.
        """
        counts = [self._count(case, slices) for case, slices in chosen]
        overlaps, totals = zip(*counts, strict=True)
        return _mean_dice(np.sum(overlaps, axis=0), np.sum(totals, axis=0))

    def label_map(self, case: Case) -> LabelArray:
        """The labels that the model gives to a case, as inference would.

        Args:
            case: prepared by this model.

        Returns:
            (S, 256, 256) uint8: 0 for the background, k + 1 for the label of channel k. Slices
            without tissue are not decoded and stay background.
        """
        label_map = np.zeros((len(case.shows), *case.mask_shape[1:]), np.uint8)
        for start in range(0, len(case.tissue_slices), self.batch_slices):
            slices = case.tissue_slices[start : start + self.batch_slices]
            label_map[slices] = self._label_indices(case, slices).numpy()
        return label_map

    def expected_seconds(self, cases: Sequence[Case]) -> float:
        """Estimate the duration of evaluating these cases, from one batch of the largest case."""
        largest = max(cases, key=lambda case: len(case.tissue_slices))
        slices = largest.tissue_slices[: self.batch_slices]
        if not slices:
            return 0.0
        self._predict(largest, slices[:1])  # warm-up: the first call is slower
        began = time.monotonic()
        self._predict(largest, slices)
        seconds = time.monotonic() - began
        return seconds / len(slices) * sum(len(case.tissue_slices) for case in cases)

    def _count(self, case: Case, chosen: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        """(K,) pixels in both prediction and label, and (K,) pixels of the two added up."""
        overlap = np.zeros(case.mask_shape[0])
        total = np.zeros_like(overlap)
        for start in range(0, len(chosen), self.batch_slices):
            slices = chosen[start : start + self.batch_slices]
            predicted, truth = self._predict(case, slices), case.masks(slices)
            overlap += _pixels(predicted & truth)
            total += _pixels(predicted) + _pixels(truth)
        return overlap, total

    def _predict(self, case: Case, slices: Sequence[int]) -> torch.Tensor:
        """(B, K, 256, 256) bool; no pixel has two labels."""
        labels = self._label_indices(case, slices)
        values = torch.arange(1, case.mask_shape[0] + 1)
        return labels[:, None] == values[:, None, None]

    @torch.inference_mode()
    def _label_indices(self, case: Case, slices: Sequence[int]) -> torch.Tensor:
        """(B, 256, 256) uint8: 0, or k + 1 for the label of channel k."""
        setup = self.setup
        decoded = predict(
            setup.model, case.prepared, slices, device=setup.device, branches=False,
            second_look=self.second_look,
        )  # fmt: skip
        probabilities = torch.sigmoid(decoded.union)  # (B, K, 256, 256)
        return label_indices(probabilities.transpose(0, 1), threshold=setup.threshold).cpu()


def _pixels(masks: torch.Tensor) -> FloatArray:
    """(K,) foreground pixels of each label."""
    return masks.sum(dim=(0, 2, 3)).double().numpy()


def _mean_dice(overlap: FloatArray, total: FloatArray) -> float:
    """Mean Dice over the labels with pixels; 1 if no label has any."""
    shown = total > 0
    return float(np.mean(2 * overlap[shown] / total[shown])) if shown.any() else 1.0
