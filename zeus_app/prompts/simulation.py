"""A simulated user: the first click in the middle of the object, each next one in the worst error.

Learning and measuring by simulated clicks is common in interactive segmentation; this is the usual
rule (for example Sofiiuk et al., "Reviving Iterative Training with Mask Guidance", 2021). Nothing
is random: of equal choices, the first in the order of the array is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from zeus_app.errors import InputError
from zeus_app.prompts.types import StudyPrompt
from zeus_app.types import BoolArray


@dataclass(frozen=True)
class SimulatedClick:
    """A click of the simulated user.

    Attributes:
        index: the pixel or voxel, one whole number for each axis of the mask.
        is_foreground: whether the clicked place belongs to the object.
    """

    index: tuple[int, ...]
    is_foreground: bool


def first_click(truth: BoolArray, spacing: Sequence[float]) -> SimulatedClick:
    """Click in the middle of the object.

    Args:
        truth: bool mask of the object, in 2-D or 3-D.
        spacing: edge lengths of a pixel or voxel along the axes, in one unit such as mm.

    Raises:
        InputError: the mask is empty, or `spacing` does not fit its axes.
    """
    return SimulatedClick(middle(truth, spacing), is_foreground=True)


def next_click(
    mask: BoolArray, truth: BoolArray, spacing: Sequence[float]
) -> SimulatedClick | None:
    """Click in the middle of the largest connected error.

    Errors are parts that the mask misses (a foreground click) and parts that it has too much (a
    background click). Pixels that share an edge are connected, and voxels that share a face. Of a
    missed part and an extra part of equal size, the missed one is clicked.

    Args:
        mask: the answer to the clicks so far, bool, in 2-D or 3-D.
        truth: bool mask of the object, of the same shape.
        spacing: edge lengths of a pixel or voxel along the axes, in one unit such as mm.

    Returns:
        The click; None if the mask is perfect.

    Raises:
        InputError: the shapes differ, or `spacing` does not fit the axes.
    """
    if mask.shape != truth.shape:
        raise InputError(
            f"a mask of shape {mask.shape} and a truth of shape {truth.shape}",
            expected="two masks of the same shape",
            remedy="resample one of them onto the grid of the other first",
        )
    missed, extra = largest_part(truth & ~mask), largest_part(mask & ~truth)
    is_foreground = bool(missed.sum() >= extra.sum())
    worst = missed if is_foreground else extra
    return SimulatedClick(middle(worst, spacing), is_foreground) if worst.any() else None


def with_click(prompt: StudyPrompt, click: SimulatedClick) -> StudyPrompt:
    """The prompt with one more click.

    Args:
        prompt: in voxels of a grid.
        click: on a voxel (i, j, k) of the same grid.
    """
    i, j, k = map(float, click.index)
    if click.is_foreground:
        return replace(prompt, foreground=(*prompt.foreground, (i, j, k)))
    return replace(prompt, background=(*prompt.background, (i, j, k)))


def middle(mask: BoolArray, spacing: Sequence[float]) -> tuple[int, ...]:
    """The pixel or voxel that is farthest from the border of the mask.

    The distance is that of the centres to the nearest centre outside. The end of the array is a
    border too.

    Args:
        mask: bool, in 2-D or 3-D.
        spacing: edge lengths of a pixel or voxel along the axes, in one unit such as mm.

    Raises:
        InputError: the mask is empty, or `spacing` does not fit its axes.
    """
    if not mask.any() or len(spacing) != mask.ndim:
        raise InputError(
            f"{len(spacing)} spacings for {mask.ndim} axes, and a mask of {int(mask.sum())} pixels",
            expected="a mask with at least one pixel, and one spacing for each of its axes",
            remedy="leave out labels that the study does not show",
        )
    (bounds,) = ndimage.find_objects(mask.astype(np.uint8))
    part = np.pad(mask[bounds], 1)
    depth = ndimage.distance_transform_edt(part, sampling=tuple(spacing))
    deepest = np.unravel_index(int(depth.argmax()), part.shape)
    return tuple(int(i) - 1 + axis.start for i, axis in zip(deepest, bounds, strict=True))


def largest_part(mask: BoolArray) -> BoolArray:
    """The largest connected part of a mask; an empty mask if there is none."""
    numbers, count = ndimage.label(mask)
    if not count:
        return np.zeros_like(mask)
    sizes = np.bincount(numbers.ravel())
    part: BoolArray = numbers == 1 + int(np.argmax(sizes[1:]))
    return part
