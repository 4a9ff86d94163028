"""Put frames of masks on a grid: exactly where their pixels are its voxels, else resampled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from zeus_app.dicom.planes import LATTICE_TOLERANCE, Plane, Vector
from zeus_app.errors import InputError
from zeus_app.types import LPS_TO_RAS, Affine, BoolArray, Grid

_MOST_SLICES = 8192


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a segment: where it lies, and its mask as (rows, columns)."""

    plane: Plane
    mask: npt.NDArray[np.bool_]


def place_frames(frames: Sequence[Frame], grid: Grid) -> tuple[BoolArray, tuple[str, ...]]:
    """Unite the frames of one segment on a grid.

    Returns:
        (X, Y, Z) bool, and notes for users: voxels outside the grid, and a resampling.

    Raises:
        InputError: the frames are not the grid's slices, and are no regular stack themselves.
    """
    mask = np.zeros(grid.shape, bool)
    frames = [frame for frame in frames if frame.mask.any()]
    maps = [frame.plane.voxel_map(grid) for frame in frames]
    if any(voxel_map is None for voxel_map in maps):
        return _resampled(frames, grid)
    outside = sum(
        _scatter(mask, frame.mask, voxel_map)
        for frame, voxel_map in zip(frames, maps, strict=True)
        if voxel_map is not None
    )
    return mask, (f"{outside} voxels lie outside the image",) if outside else ()


def _scatter(mask: BoolArray, pixels: BoolArray, voxel_map: npt.NDArray[np.int64]) -> int:
    """Set the voxels of a frame's pixels. Returns how many lie outside the grid."""
    rows, columns = np.nonzero(pixels)
    voxels = voxel_map @ np.stack([columns, rows, np.ones_like(rows)])
    is_inside = ((voxels >= 0) & (voxels < np.array(mask.shape)[:, None])).all(axis=0)
    mask[tuple(voxels[:, is_inside])] = True
    return int(np.count_nonzero(~is_inside))


def _resampled(frames: Sequence[Frame], grid: Grid) -> tuple[BoolArray, tuple[str, ...]]:
    """Stack the frames to a volume, and take its nearest voxel for each voxel of the grid."""
    stack, affine_lps = _stacked(frames)
    index_map = np.linalg.inv(affine_lps) @ LPS_TO_RAS @ grid.affine_ras
    nearest = ndimage.affine_transform(
        stack.astype(np.uint8), index_map, output_shape=grid.shape, order=0, mode="grid-constant"
    )
    spacing = "×".join(f"{value:.3g}" for value in np.linalg.norm(affine_lps[:3, :3], axis=0))
    return nearest.astype(bool), (f"resampled from voxels of {spacing} mm",)


def _stacked(frames: Sequence[Frame]) -> tuple[BoolArray, Affine]:
    """(columns, rows, slices) of parallel frames, and the affine from its voxels to LPS mm."""
    first = frames[0].plane
    if not all(_is_like(frame.plane, first) for frame in frames):
        raise _refused("frames of different direction, size or pixel spacing")
    positions_mm = np.array([frame.plane.position_lps @ first.normal_lps for frame in frames])
    step_mm = first.step_mm or _smallest_gap(positions_mm) or first.thickness_mm
    if step_mm <= 0:
        raise _refused("frames without a distance between them")
    start = int(np.argmin(positions_mm))
    exact = (positions_mm - positions_mm[start]) / step_mm
    slices = np.rint(exact).astype(int)
    if np.abs(exact - slices).max() > LATTICE_TOLERANCE or slices.max() >= _MOST_SLICES:
        raise _refused(f"frames that are not {step_mm:.3g} mm apart, as the file states")
    rows, columns = frames[0].mask.shape
    stack = np.zeros((columns, rows, int(slices.max()) + 1), bool)
    for frame, z in zip(frames, slices, strict=True):
        stack[:, :, z] |= frame.mask.T
    return stack, _affine_lps(frames[start].plane, step_mm)


def _affine_lps(plane: Plane, step_mm: float) -> Affine:
    affine = np.eye(4)
    affine[:3, [0, 1, 3]] = plane.pixel_affine_lps
    affine[:3, 2] = plane.normal_lps * step_mm
    return affine


def _is_like(plane: Plane, other: Plane) -> bool:
    return np.allclose(plane.orientation_lps, other.orientation_lps, atol=1e-3) and np.allclose(
        plane.spacing_mm, other.spacing_mm, rtol=1e-3
    )


def _smallest_gap(positions_mm: Vector) -> float:
    gaps = np.diff(np.unique(positions_mm))
    gaps = gaps[gaps > 1e-3]
    return float(gaps.min()) if len(gaps) else 0.0


def _refused(came: str) -> InputError:
    return InputError(
        f"a SEG with {came}",
        expected="the slices of the image, or parallel and evenly spaced frames",
        remedy="export the segmentation on the grid of the image, for example from 3D Slicer with"
        " the image as reference",
    )
