"""Compare a label's grid and values with its image and target."""

import numpy as np
from nibabel.orientations import aff2axcodes

from zeus_app.errors import InputError
from zeus_app.labels.values import listed
from zeus_app.studies.align import canonical, field_of_view, to_grid
from zeus_app.types import Grid, Volume

PLACE_TOLERANCE_VOXELS = 0.1
"""Largest distance between a label's voxel and the image's, in the image's smallest voxel edge.
Other programs round affines by far less; a shift by one voxel is ten times more."""


def check_label(label: Volume, grid: Grid, values: tuple[int, ...]) -> None:
    """Refuse a label that lies on another grid or holds unknown values.

    Args:
        label: label map of any dtype.
        grid: the grid of the image that the label was drawn on.
        values: the target's label values. 0, the background, is always allowed.

    Raises:
        InputError: wrong shape, wrong place, or values that are neither 0 nor among `values`.
    """
    if label.array.shape != grid.shape:
        raise _other_shape(label.array.shape, grid)
    if not label.grid.matches(grid, tolerance_mm=_tolerance_mm(grid)):
        raise InputError(
            f"a label that lies in another place than its image: {describe_grid(label.grid)}",
            expected=f"the image's grid, {describe_grid(grid)}",
            remedy="save the label with the image's geometry, or resample it onto the image",
        )
    check_values(label, values)


def check_size(shape: tuple[int, ...], grid: Grid) -> None:
    """Refuse a label of another size than its image, in any order of the axes."""
    if sorted(shape) != sorted(grid.shape):
        raise _other_shape(shape, grid)


def _other_shape(shape: tuple[int, ...], grid: Grid) -> InputError:
    return InputError(
        f"a label of shape {_shape(shape)}",
        expected=f"the image's shape, {_shape(grid.shape)}",
        remedy="draw the label on this image, or resample it onto the image",
    )


def check_values(label: Volume, values: tuple[int, ...]) -> None:
    """Refuse values that are neither 0 nor among `values`. Raises InputError."""
    allowed = np.isin(label.array, (0, *values))
    if allowed.all():
        return
    raise InputError(
        f"a label with values of no label of the target: {listed(label.array[~allowed])}",
        expected=f"0 for background and {', '.join(str(value) for value in values)}",
        remedy="give the segments the names of the target's labels, or import the mask with "
        "`zeus import-labels`, which translates values",
    )


def in_order_of(label: Volume, image: Grid) -> Volume:
    """The label with its voxels in the storage order of an image at the same place.

    A label in another place is returned unchanged; `check_label` refuses it.
    """
    if label.grid.matches(image, tolerance_mm=_tolerance_mm(image)):
        return label
    if not same_place(label.grid, image):
        return label
    return to_grid(label, image, order=0, fill=0)


def same_place(label: Grid, image: Grid) -> bool:
    """Whether two grids have the same voxel centres, in any storage order."""
    return _canonical(label).matches(_canonical(image), tolerance_mm=_tolerance_mm(image))


def ml_outside(label: Volume, grid: Grid) -> float:
    """What resampling to a grid would cut off: labelled voxels whose centres lie outside, in ml.

    Raises:
        InputError: an affine is singular or not finite.
    """
    outside = (label.array != 0) & ~field_of_view(grid, label.grid)
    return int(np.count_nonzero(outside)) * label.grid.voxel_ml


def _canonical(grid: Grid) -> Grid:
    return canonical(Volume(np.broadcast_to(np.False_, grid.shape), grid.affine_ras)).grid


def _tolerance_mm(image: Grid) -> float:
    return PLACE_TOLERANCE_VOXELS * min(image.spacing_mm)


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in shape)


def describe_grid(grid: Grid) -> str:
    """A grid in words, with its last voxel and its axes.

    Two grids may share shape, spacing and first voxel, and still differ in these.
    """
    last = grid.affine_ras @ [*(n - 1 for n in grid.shape), 1]
    is_finite = np.isfinite(grid.affine_ras).all()
    axes = "".join(str(code) for code in aff2axcodes(grid.affine_ras)) if is_finite else "unknown"
    return f"{grid}, last at ({', '.join(f'{mm:.1f}' for mm in last[:3])}) mm, axes {axes}"
