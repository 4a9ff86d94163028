"""What voxels and their place must be like to be used; whatever is not is refused with a reason."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from zeus_app.errors import InputError
from zeus_app.types import Affine, FloatArray, Grid, Volume

COPY_AGAIN = "copy the file again from its origin, or take it out of the studies folder"
SHEAR_TOLERANCE_VOXELS = 0.1
"""How far off a grid's nearest one at right angles may put a voxel, in the smallest voxel edge."""
_SPLIT = (
    "split it into 3-D files, or name its channels: in cases.json, or in a dataset.json beside "
    "imagesTr/ as the Medical Segmentation Decathlon does"
)


def usable(volume: Volume, where: Path) -> Volume:
    """The volume itself, if its values can be segmented.

    Raises:
        InputError: NaN or infinite values (with their number), or the same value everywhere.
    """
    array = volume.array
    broken = array.size - int(np.count_nonzero(np.isfinite(array)))
    if broken:
        raise InputError(
            f"{where}: {broken} of {array.size} voxels are NaN or infinite",
            expected="finite intensities",
            remedy="replace them by the background's value and save the file again",
        )
    if array.min() == array.max():
        raise InputError(
            f"{where}: every voxel has the value {float(array.max()):g}",
            expected="an image with contrast",
            remedy="check how the file was exported",
        )
    return volume


def three_axes(shape: tuple[int, ...], path: Path) -> tuple[int, int, int]:
    """The shape as (X, Y, Z)."""
    if len(shape) < 2 or min(shape) < 1:
        raise InputError(
            f"{path}: shape {tuple(shape)}", expected="an image with voxels", remedy=COPY_AGAIN
        )
    if len(shape) > 4:
        raise InputError(
            f"{path}: {len(shape)}-D, shape {tuple(shape)}",
            expected="a 3-D volume, or a 4-D file of several sequences",
            remedy="save each sequence as a 3-D file",
        )
    if len(shape) == 4 and shape[3] != 1:
        raise InputError(
            f"{path}: 4-D, shape {tuple(shape)}: {shape[3]} volumes in one file",
            expected="one 3-D volume",
            remedy=_SPLIT,
        )
    x, y, z = (*shape, 1)[:3]
    return x, y, z


def channel_count(shape: tuple[int, ...], path: Path, channel: int) -> None:
    """Raise InputError unless a file of this shape has the channel."""
    channels = shape[3] if len(shape) == 4 else 1
    if len(shape) not in (3, 4) or min(shape) < 1 or channel >= channels:
        raise InputError(
            f"{path}: shape {tuple(shape)}, no channel {channel} in it",
            expected=f"(X, Y, Z, C) with C above {channel}",
            remedy="correct the sequence names in dataset.json or the case list",
        )


def as_float(array: npt.NDArray[Any], path: Path) -> FloatArray:
    """The voxels as float32. Raises InputError for colour and complex ones."""
    if array.dtype.fields is not None or array.dtype.kind not in "iufb":
        raise colour(path, f"voxels of type {array.dtype}")
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused
        return np.asarray(array, dtype=np.float32)


def colour(path: Path, came: str) -> InputError:
    """The refusal of voxels that are more than one real number."""
    return InputError(
        f"{path}: {came}",
        expected="one real number a voxel",
        remedy="export the magnitude image, not colour, vector or complex data",
    )


def checked_affine(affine: Affine, path: Path) -> Affine:
    """The affine as float64. Raises InputError unless it gives every voxel a place."""
    affine = np.asarray(affine, dtype=np.float64)
    edges = affine[:3, :3]
    spacing = np.linalg.norm(edges, axis=0)
    # The volume of a voxel against that of its edges at right angles: 0 when they lie in a plane.
    if not np.isfinite(affine).all() or abs(np.linalg.det(edges)) <= 1e-6 * spacing.prod():
        raise InputError(
            f"{path}: an affine that places no voxels: {affine[:3].tolist()}",
            expected="three independent voxel edges longer than 0 mm",
            remedy="correct sform, qform or spacing in the file's header",
        )
    return affine


def check_right_angles(grid: Grid, what: str) -> None:
    """Raise InputError for a sheared grid, which ITK, and so Slicer, cannot say.

    A NIfTI header's qform holds the nearest grid at right angles; where sform is sheared, ITK
    takes that one, or refuses the file.
    """
    header = nib.Nifti1Header()
    header.set_qform(grid.affine_ras, code=1)
    straight = Grid(grid.shape, header.get_qform())
    if not straight.matches(grid, tolerance_mm=SHEAR_TOLERANCE_VOXELS * min(grid.spacing_mm)):
        raise InputError(
            f"{what}: voxel edges that are not at right angles: {grid.affine_ras[:3].tolist()}",
            expected="a grid without shear, as viewers read",
            remedy="resample the image onto a grid at right angles",
        )
