"""Comparison of a mask with the truth: Dice, IoU, their means over labels, lesions, distance.

In all scores but the distance, two empty masks score 1, and an empty mask beside one that is not
empty scores 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from zeus_app.errors import InputError

Mask = npt.NDArray[np.generic]  # every value but 0 is inside
LabelMap = npt.NDArray[np.generic]
BoolMask = npt.NDArray[np.bool_]


def dice(pred: Mask, truth: Mask) -> float:
    """Dice similarity 2 |P and T| / (|P| + |T|) of two masks of one shape, in [0, 1].

    Raises:
        InputError: the shapes differ.
    """
    pred_mask, truth_mask = _masks(pred, truth)
    intersection = int(np.sum(pred_mask & truth_mask))
    total = int(pred_mask.sum()) + int(truth_mask.sum())
    return 2 * intersection / total if total else 1.0


def mean_dice(pred: LabelMap, truth: LabelMap, values: Sequence[int]) -> float:
    """Mean Dice of the labels that are in either map, in [0, 1]; 1 if no label is.

    Args:
        pred: predicted label map.
        truth: label map of the same shape.
        values: values of the labels, without 0 for the background.

    Raises:
        InputError: the shapes differ.
    """
    present = [value for value in values if (pred == value).any() or (truth == value).any()]
    if not present:
        return 1.0
    return float(np.mean([dice(pred == value, truth == value) for value in present]))


def iou(pred: Mask, truth: Mask) -> float:
    """Intersection over union |P and T| / |P or T| of two masks of one shape, in [0, 1].

    Raises:
        InputError: the shapes differ.
    """
    pred_mask, truth_mask = _masks(pred, truth)
    union = int(np.sum(pred_mask | truth_mask))
    return int(np.sum(pred_mask & truth_mask)) / union if union else 1.0


def miou(pred: LabelMap, truth: LabelMap, values: Sequence[int]) -> float:
    """Mean IoU of the labels, without the background.

    Args:
        pred: predicted label map.
        truth: label map of the same shape.
        values: values of the labels, without 0 for the background.

    Raises:
        InputError: the shapes differ, or `values` is empty.
    """
    if not values:
        raise InputError(
            "no label values",
            expected="at least one value",
            remedy="pass the values of the target's labels, for example (1, 2)",
        )
    return float(np.mean([iou(pred == value, truth == value) for value in values]))


def miou_with_background(pred: LabelMap, truth: LabelMap, values: Sequence[int]) -> float:
    """Mean IoU of the labels and the background (0), which is easy and large.

    Args:
        pred: predicted label map.
        truth: label map of the same shape.
        values: values of the labels, without 0 for the background.

    Raises:
        InputError: the shapes differ, or `values` is empty.
    """
    miou(pred, truth, values)  # raises for an empty `values`, which (0, *values) would hide
    return miou(pred, truth, (0, *values))


@dataclass(frozen=True)
class LesionCounts:
    """Lesions of a mask and of the truth.

    Attributes:
        found: lesions of the truth that the mask overlaps.
        missed: lesions of the truth that it does not overlap.
        false: lesions of the mask that overlap no lesion of the truth.
    """

    found: int
    missed: int
    false: int

    @property
    def f1(self) -> float:
        """2 found / (2 found + missed + false), in [0, 1]; 1 if there is no lesion at all."""
        total = 2 * self.found + self.missed + self.false
        return 2 * self.found / total if total else 1.0


def count_lesions(pred: Mask, truth: Mask) -> LesionCounts:
    """Count found, missed and false lesions.

    A lesion is a component of voxels that touch by a face, an edge or a corner (26 neighbours in
    3-D). It is found if at least one of its voxels is predicted. The convention is that of the
    ISLES 2022 challenge (Hernandez Petzsche et al., Scientific Data 9:762, 2022; `lesion-wise F1`
    in github.com/ezequieldlrosa/isles22). The score is generous: one voxel is enough.

    Args:
        pred: predicted mask.
        truth: mask of the same shape.

    Raises:
        InputError: the shapes differ.
    """
    pred_mask, truth_mask = _masks(pred, truth)
    overlap = pred_mask & truth_mask
    true_lesions, found = _components(truth_mask, overlap)
    predicted_lesions, overlapping = _components(pred_mask, overlap)
    return LesionCounts(found, true_lesions - found, predicted_lesions - overlapping)


def lesion_f1(pred: Mask, truth: Mask) -> float:
    """Lesion-wise F1, in [0, 1]; see `count_lesions`.

    Raises:
        InputError: the shapes differ.
    """
    return count_lesions(pred, truth).f1


def hd95_mm(pred: Mask, truth: Mask, spacing_mm: Sequence[float]) -> float | None:
    """The 95th percentile of the Hausdorff distance between two surfaces, in mm.

    The surface of a mask is its voxels with a face neighbour outside of the mask. The percentile is
    taken in both directions, and the larger one counts, as in MONAI's HausdorffDistanceMetric.

    Args:
        pred: predicted mask.
        truth: mask of the same shape.
        spacing_mm: edge lengths of a voxel along the axes of the masks.

    Returns:
        The distance; None if a mask is empty, because an empty mask has no surface.

    Raises:
        InputError: the shapes differ.
    """
    pred_mask, truth_mask = _masks(pred, truth)
    if not pred_mask.any() or not truth_mask.any():
        return None
    part = ndimage.find_objects((pred_mask | truth_mask).astype(np.uint8))[0]
    surfaces = [_surface(mask[part]) for mask in (pred_mask, truth_mask)]
    percentiles = [
        np.percentile(ndimage.distance_transform_edt(~end, sampling=spacing_mm)[start], 95)
        for start, end in (surfaces, surfaces[::-1])
    ]
    return float(max(percentiles))


def _components(mask: BoolMask, overlap: BoolMask) -> tuple[int, int]:
    """Number of components of a mask, and of those with a voxel of `overlap`."""
    numbers, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    return int(count), len(np.unique(numbers[overlap]))


def _surface(mask: BoolMask) -> BoolMask:
    surface: BoolMask = mask & ~ndimage.binary_erosion(mask)
    return surface


def _masks(pred: Mask, truth: Mask) -> tuple[BoolMask, BoolMask]:
    if pred.shape != truth.shape:
        raise InputError(
            f"a mask of shape {pred.shape} and a truth of shape {truth.shape}",
            expected="two masks of the same shape",
            remedy="resample one of them onto the grid of the other first",
        )
    return pred != 0, truth != 0
