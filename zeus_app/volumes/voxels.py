"""Checks of voxels and affines. Volumes that cannot be used are refused with the reason."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from zeus_app.errors import InputError
from zeus_app.types import Affine, FloatArray, Grid, Volume

COPY_AGAIN = "copy the file again from its origin, or remove it from the studies folder"
SHEAR_TOLERANCE_VOXELS = 0.1
"""Largest distance of a voxel from its place on the nearest grid with right angles.

In units of the smallest voxel edge.
"""
_SPLIT = (
    "split it into 3-D files, or name its channels in cases.json, or in a dataset.json beside "
    "imagesTr/ as in the Medical Segmentation Decathlon"
)


def usable(volume: Volume, where: Path) -> Volume:
    """The volume itself, if its values can be segmented.

    Raises:
        InputError: some values are NaN or infinite, or all values are equal.
    """
    array = volume.array
    not_finite = array.size - int(np.count_nonzero(np.isfinite(array)))
    if not_finite:
        raise InputError(
            f"{where}: {not_finite} of {array.size} voxels are NaN or infinite",
            expected="finite intensities",
            remedy="replace them by the background's value, for example 0, and save the file again",
        )
    if array.min() == array.max():
        raise InputError(
            f"{where}: every voxel has the value {float(array.max()):g}",
            expected="an image with contrast",
            remedy="export the image again from its origin, or remove the file",
        )
    return volume


def three_axes(shape: tuple[int, ...], path: Path) -> tuple[int, int, int]:
    """The shape as (X, Y, Z). Raises InputError if the file holds more than one volume."""
    if len(shape) < 2 or min(shape) < 1:
        raise InputError(
            f"{path}: shape {tuple(shape)}", expected="an image with voxels", remedy=COPY_AGAIN
        )
    if len(shape) > 4:
        raise InputError(
            f"{path}: {len(shape)}-D, shape {tuple(shape)}",
            expected="a 3-D volume, or a 4-D file of several sequences",
            remedy="save each sequence as a 3-D file of its own",
        )
    if len(shape) == 4 and shape[3] != 1:
        raise InputError(
            f"{path}: 4-D, shape {tuple(shape)}: {shape[3]} volumes in one file",
            expected="one 3-D volume",
            remedy=_SPLIT,
        )
    x, y, z = (*shape, 1)[:3]
    return x, y, z


def check_channel(shape: tuple[int, ...], path: Path, channel: int) -> None:
    """Raise InputError if a file of this shape does not have the channel, counted from 0."""
    channels = shape[3] if len(shape) == 4 else 1
    if len(shape) not in (3, 4) or min(shape) < 1 or channel >= channels:
        raise InputError(
            f"{path}: shape {tuple(shape)} has no channel {channel}",
            expected=f"shape (X, Y, Z, C) with C above {channel}",
            remedy="name only channels that the file has, in dataset.json or the case list; the"
            " first channel is 0",
        )


def as_float(array: npt.NDArray[Any], path: Path) -> FloatArray:
    """The voxels as float32. Raises InputError for colours and complex numbers."""
    check_type(array.dtype, path)
    with np.errstate(over="ignore"):  # overflow gives infinity, which `usable` refuses
        return np.asarray(array, dtype=np.float32)


def check_type(dtype: np.dtype[Any], path: Path) -> None:
    """Raise InputError for voxels that are colours, complex numbers or the like."""
    if dtype.fields is not None or dtype.kind not in "iufb":
        raise not_one_number(path, f"voxels of type {dtype}")


def not_one_number(path: Path, came: str) -> InputError:
    """The error for voxels that are not one real number each."""
    return InputError(
        f"{path}: {came}",
        expected="one real number per voxel",
        remedy="export the magnitude image instead of colour, vector or complex data",
    )


def checked_affine(affine: Affine, path: Path) -> Affine:
    """The affine as float64. Raises InputError if it is not finite or not invertible."""
    affine = np.asarray(affine, dtype=np.float64)
    edges = affine[:3, :3]
    spacing = np.linalg.norm(edges, axis=0)
    # Compare the voxel's volume with that of a box of the same edges: 0 if they lie in a plane.
    if not np.isfinite(affine).all() or abs(np.linalg.det(edges)) <= 1e-6 * spacing.prod():
        raise InputError(
            f"{path}: an affine that is not invertible: {affine[:3].tolist()}",
            expected="three independent voxel edges longer than 0 mm",
            remedy="set sform, qform or spacing in the file's header, or export the image again",
        )
    return affine


def check_right_angles(grid: Grid, what: str) -> None:
    """Raise InputError for a sheared grid, which ITK, and so 3D Slicer, cannot represent.

    A NIfTI header's qform holds the nearest grid with right angles. If sform is sheared, ITK
    reads qform instead, or refuses the file.
    """
    header = nib.Nifti1Header()
    header.set_qform(grid.affine_ras, code=1)
    straight = Grid(grid.shape, header.get_qform())
    if not straight.matches(grid, tolerance_mm=SHEAR_TOLERANCE_VOXELS * min(grid.spacing_mm)):
        raise InputError(
            f"{what}: voxel edges that are not at right angles: {grid.affine_ras[:3].tolist()}",
            expected="a grid without shear, which viewers can read",
            remedy="resample the image onto a grid with right angles",
        )
