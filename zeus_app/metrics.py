"""How well a mask fits the truth: Dice, IoU, mean IoU and the 95th-percentile surface distance.

What empty masks score: both empty is a perfect answer (Dice and IoU 1, distance 0); one empty and
the other not is the worst one (Dice and IoU 0, distance the diagonal of the volume).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion, distance_transform_edt

from zeus_app.errors import InputError

Mask = npt.NDArray[np.generic]  # anything that is not 0 is inside
LabelMap = npt.NDArray[np.generic]
BoolMask = npt.NDArray[np.bool_]


def dice(pred: Mask, truth: Mask) -> float:
    """Dice similarity 2|P∩T| / (|P|+|T|) of two masks of one shape, in [0, 1].

    Raises:
        InputError: the shapes differ.
    """
    inside, wanted = _masks(pred, truth)
    both = int(np.sum(inside & wanted))
    total = int(inside.sum()) + int(wanted.sum())
    return 2 * both / total if total else 1.0


def mean_dice(pred: LabelMap, truth: LabelMap, values: Sequence[int]) -> float:
    """Dice averaged over the labels that either map shows, in [0, 1]; 1 where neither shows any.

    Args:
        pred: label map of the answer.
        truth: label map of the same shape.
        values: the labels' values, without the background's 0.

    Raises:
        InputError: the shapes differ.
    """
    shown = [value for value in values if (pred == value).any() or (truth == value).any()]
    if not shown:
        return 1.0
    return float(np.mean([dice(pred == value, truth == value) for value in shown]))


def iou(pred: Mask, truth: Mask) -> float:
    """Intersection over union |P∩T| / |P∪T| of two masks of one shape, in [0, 1].

    Raises:
        InputError: the shapes differ.
    """
    inside, wanted = _masks(pred, truth)
    either = int(np.sum(inside | wanted))
    return int(np.sum(inside & wanted)) / either if either else 1.0


def miou(pred: LabelMap, truth: LabelMap, values: Sequence[int]) -> float:
    """IoU averaged over the labels alone.

    Args:
        pred: label map of the answer.
        truth: label map of the same shape.
        values: the labels' values, without the background's 0.

    Raises:
        InputError: the shapes differ, or there is no value.
    """
    if not values:
        raise InputError("no label values", expected="at least one", remedy="pass the target's")
    return float(np.mean([iou(pred == value, truth == value) for value in values]))


def miou_with_background(pred: LabelMap, truth: LabelMap, values: Sequence[int]) -> float:
    """IoU averaged over the labels and the background (0), which is easy and large.

    Args:
        pred: label map of the answer.
        truth: label map of the same shape.
        values: the labels' values, without the background's 0.

    Raises:
        InputError: the shapes differ, or there is no value.
    """
    miou(pred, truth, values)  # refuses what it refuses
    return miou(pred, truth, (0, *values))


def hd95_mm(pred: Mask, truth: Mask, spacing_mm: Sequence[float]) -> float:
    """Hausdorff distance with the 95th percentile in place of the maximum, in mm.

    The distances run from each surface voxel of one mask to the nearest of the other; of the two
    directions the larger percentile counts. A surface voxel has a face outside its mask or the
    volume.

    Args:
        pred: mask of the answer.
        truth: mask of the same shape.
        spacing_mm: edge lengths of a voxel, one an axis.

    Raises:
        InputError: the shapes differ, or the spacing does not fit them.
    """
    inside, wanted = _masks(pred, truth)
    if len(spacing_mm) != inside.ndim or min(spacing_mm) <= 0:
        raise InputError(
            f"spacing {tuple(spacing_mm)} mm for a mask of {inside.ndim} axes",
            expected="one positive edge length an axis",
            remedy="take the spacing of the mask's own grid",
        )
    if not inside.any() and not wanted.any():
        return 0.0
    if not inside.any() or not wanted.any():
        return float(np.linalg.norm(np.multiply(inside.shape, spacing_mm)))
    return max(
        _percentile_mm(inside, wanted, spacing_mm), _percentile_mm(wanted, inside, spacing_mm)
    )


def _percentile_mm(source: BoolMask, goal: BoolMask, spacing_mm: Sequence[float]) -> float:
    """95th percentile of the distances from the surface of `source` to that of `goal`."""
    away = distance_transform_edt(~_surface(goal), sampling=spacing_mm)
    return float(np.percentile(away[_surface(source)], 95))


def _surface(mask: BoolMask) -> BoolMask:
    return mask & ~np.asarray(binary_erosion(mask), dtype=np.bool_)


def _masks(pred: Mask, truth: Mask) -> tuple[BoolMask, BoolMask]:
    if pred.shape != truth.shape:
        raise InputError(
            f"a mask of shape {pred.shape} beside a truth of shape {truth.shape}",
            expected="both on one grid",
            remedy="resample one onto the other's grid first",
        )
    return pred != 0, truth != 0
