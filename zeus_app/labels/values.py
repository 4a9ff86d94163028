"""The one rule for values of labels: nearly whole numbers are rounded, others are refused.

Other programs store label 1 as 0.9999 where they scale or resample a mask. Whatever reads a mask
in Zeus reads it by this rule.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from zeus_app.errors import InputError
from zeus_app.types import Volume

MAX_DISTANCE = 0.01
"""Largest distance of a stored value from the whole number that it stands for."""
MOST_VALUES_LISTED = 10


def with_whole_values(volume: Volume, name: str) -> Volume:
    """The same label map with whole numbers.

    Args:
        volume: (X, Y, Z) label map as stored.
        name: what it is, for the message: "label file p1_seg.nii.gz".

    Returns:
        A map of the same dtype. Its values may be negative or beyond 255.

    Raises:
        InputError: a value is NaN, infinite or a fraction. The message shows the values.
    """
    stored = volume.array
    if stored.dtype.kind != "f":
        return volume
    whole = np.empty_like(stored)
    for k in range(stored.shape[-1]):  # slice by slice, which needs little memory
        np.rint(stored[..., k], out=whole[..., k])
        with np.errstate(invalid="ignore"):  # infinity minus infinity
            is_near = np.abs(stored[..., k] - whole[..., k]) <= MAX_DISTANCE
        if not is_near.all():
            raise _not_whole(stored[..., k][~is_near], name)
    return Volume(whole, volume.affine_ras)


def listed(values: npt.NDArray[np.number[Any]]) -> str:
    """Different values in words, for example "0.9, 2 and 3 more"."""
    different = np.unique(values)
    words = ", ".join(map(_word, different[:MOST_VALUES_LISTED]))
    rest = len(different) - MOST_VALUES_LISTED
    return f"{words} and {rest} more" if rest > 0 else words


def _word(value: np.number[Any]) -> str:
    """A value with as many digits as tell it from its neighbours: 7, 0.5, 0.9899."""
    short = f"{value:g}"
    return short if type(value)(short) == value else str(value)


def _not_whole(values: npt.NDArray[np.number[Any]], name: str) -> InputError:
    return InputError(
        f"{name}: values that are not whole numbers: {listed(values)}",
        expected=f"one whole number per voxel, stored to within {MAX_DISTANCE}",
        remedy="turn probabilities into labels first, for example with a threshold of 0.5, and"
        " NaN into 0",
    )
