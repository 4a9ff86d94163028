"""Overlap of a mask with the truth: Dice, IoU, and their means over labels.

Two empty masks score 1. An empty mask beside one that is not empty scores 0.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

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


def _masks(pred: Mask, truth: Mask) -> tuple[BoolMask, BoolMask]:
    if pred.shape != truth.shape:
        raise InputError(
            f"a mask of shape {pred.shape} and a truth of shape {truth.shape}",
            expected="two masks of the same shape",
            remedy="resample one of them onto the grid of the other first",
        )
    return pred != 0, truth != 0
