"""Bringing the sequences of a study onto one grid: the reference's, turned to RAS+.

Turning is a permutation of voxels and never interpolates. Where a voxel must be looked up between
others, voxels are boxes: whatever lies within half a voxel of an outermost centre is inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from typing import Any

import numpy as np
import numpy.typing as npt
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from scipy import ndimage

from zeus_app.errors import InputError
from zeus_app.studies.background import Background, find_background
from zeus_app.targets import Target
from zeus_app.types import Affine, BoolArray, Grid, Study, Volume

MIN_OVERLAP = 0.05
"""Least share of the smaller of two volumes that both must cover."""
EDGE_TOLERANCE_VOXELS = 1e-3
"""How far beyond a voxel's face still counts as on it: affines travel as float32."""
TIE_BREAK_VOXELS = 1e-6
"""Shift that makes every point midway between two voxels go to the higher one, rounding or not."""


@dataclass(frozen=True, eq=False)
class AlignedStudy:
    """A study whose sequences share one grid.

    Attributes:
        id: the study's id.
        reference: the sequence that gave the grid; its voxels were turned, never interpolated.
        grid: RAS-canonical grid of the reference.
        volumes: sequence name -> (X, Y, Z) float32 volume on `grid`.
        backgrounds: sequence name -> its background; also what fills voxels it does not cover.
    """

    id: str
    reference: str
    grid: Grid
    volumes: Mapping[str, Volume]
    backgrounds: Mapping[str, Background]


def align(study: Study, reference: str) -> AlignedStudy:
    """Put every sequence of a study on the canonical grid of its reference sequence.

    Args:
        study: sequences as stored, in any orientation.
        reference: name of one of them.

    Raises:
        InputError: a sequence shares less than `MIN_OVERLAP` with the reference, or has an affine
            that gives its voxels no place.
    """
    grid = canonical(study.volumes[reference]).grid
    volumes, backgrounds = {}, {}
    for name, stored in study.volumes.items():
        volume = canonical(stored)
        _check_overlap(volume.grid, grid, what=f"sequence {name} of study {study.id!r}")
        array = volume.array.astype(np.float32, copy=False)  # linear in whole numbers would round
        backgrounds[name] = find_background(array)
        volumes[name] = to_grid(
            Volume(array, volume.affine_ras), grid, order=1, fill=backgrounds[name].value
        )
    return AlignedStudy(study.id, reference, grid, volumes, backgrounds)


def align_for(study: Study, target: Target) -> AlignedStudy:
    """Align the sequences that a target wants, on the reference that it prefers.

    Raises:
        InputError: as `align`, or the study has no wanted sequence.
    """
    wanted = {n: v for n, v in study.volumes.items() if n in target.sequence_names}
    reference = target.reference_of(tuple(wanted) or tuple(study.volumes))
    return align(Study(study.id, wanted), reference)


def canonical(volume: Volume) -> Volume:
    """Permute and flip the axes to the closest RAS+ order; every voxel keeps its value and place.

    Raises:
        InputError: the affine is singular or not finite.
    """
    _check_invertible(volume.grid)
    turn = io_orientation(volume.affine_ras)
    array = np.ascontiguousarray(apply_orientation(volume.array, turn))
    return Volume(array, volume.affine_ras @ inv_ornt_aff(turn, volume.array.shape))


def axial_slices(grid: Grid) -> int:
    """How many axial slices a grid has, whatever its storage order."""
    axis = list(io_orientation(grid.affine_ras)[:, 0]).index(2)
    return grid.shape[axis]


def to_grid(volume: Volume, grid: Grid, *, order: int, fill: float) -> Volume:
    """Look a volume up at every voxel centre of another grid.

    Grids that differ by orientation alone give an exact permutation, whatever the order.

    Args:
        volume: image or label, on any grid.
        grid: where the values are wanted.
        order: 0 nearest (labels), 1 linear (images).
        fill: value outside the volume's voxels.

    Returns:
        A volume on `grid`, of the dtype of `volume`.

    Raises:
        InputError: an affine is singular or not finite.
    """
    matrix = _index_map(grid, volume.grid)
    turned = _turned(volume, matrix)
    if turned is not None and turned.grid.matches(grid):
        return Volume(turned.array, grid.affine_ras)
    array = ndimage.affine_transform(
        volume.array,
        matrix[:3, :3],
        matrix[:3, 3] + (TIE_BREAK_VOXELS if order == 0 else 0.0),
        output_shape=grid.shape,
        order=order,
        mode="nearest",
        prefilter=False,
    )
    array[~field_of_view(volume.grid, grid)] = fill
    return Volume(array, grid.affine_ras)


def field_of_view(inner: Grid, outer: Grid) -> BoolArray:
    """Mark the voxels of `outer` whose centres lie inside the voxels of `inner`.

    Returns:
        Bool of `outer.shape`.
    """
    matrix = _index_map(outer, inner)
    y = np.arange(outer.shape[1], dtype=np.float64)[:, None]
    z = np.arange(outer.shape[2], dtype=np.float64)[None, :]
    inside = np.ones(outer.shape, dtype=np.bool_)
    for axis, n in enumerate(inner.shape):
        by_x, by_y, by_z, start = matrix[axis]
        plane = by_y * y + by_z * z + start  # (Y, Z), index into `inner` at x = 0
        for x in range(outer.shape[0]):  # plane by plane: a whole float64 grid is large
            offset = by_x * x
            inside[x] &= plane >= -0.5 - EDGE_TOLERANCE_VOXELS - offset
            inside[x] &= plane <= n - 0.5 + EDGE_TOLERANCE_VOXELS - offset
    return inside


def _check_overlap(grid: Grid, reference: Grid, *, what: str) -> None:
    if grid.matches(reference):
        return
    overlap = _shared_share(grid, reference)
    if overlap < MIN_OVERLAP:
        raise InputError(
            f"{what} ({grid}) and the reference ({reference}) share {overlap:.1%} of the smaller",
            expected=f"sequences of one body region, sharing at least {MIN_OVERLAP:.0%}",
            remedy="check that the files belong to one examination, or remove the stray one",
        )


def _shared_share(grid: Grid, reference: Grid) -> float:
    """Volume that both cover, as a share of the smaller: one slice in a whole head is fine."""
    voxels = float(field_of_view(grid, reference).sum())
    sizes_ml = [float(np.prod(one.shape)) * one.voxel_ml for one in (grid, reference)]
    return voxels * reference.voxel_ml / min(sizes_ml)


def _index_map(source: Grid, target: Grid) -> Affine:
    """(4, 4) matrix from voxel indices of `source` to voxel indices of `target`."""
    _check_invertible(source)
    _check_invertible(target)
    matrix: Affine = np.linalg.solve(target.affine_ras, source.affine_ras)
    return matrix


def _turned(volume: Volume, matrix: Affine) -> Volume | None:
    """The volume with axes permuted and flipped as `matrix` nearly says, if it nearly does.

    `matrix` takes wanted indices to the volume's own.
    """
    axes = np.round(matrix[:3, :3])
    if not np.array_equal(np.abs(axes).sum(0), np.ones(3)) or not np.array_equal(
        np.abs(axes).sum(1), np.ones(3)
    ):
        return None
    turn = np.array([(int(np.abs(row).argmax()), row.sum()) for row in axes])
    array: npt.NDArray[np.number[Any]] = np.ascontiguousarray(apply_orientation(volume.array, turn))
    return Volume(array, volume.affine_ras @ inv_ornt_aff(turn, volume.array.shape))


def _check_invertible(grid: Grid) -> None:
    spacing = np.linalg.norm(grid.affine_ras[:3, :3], axis=0)
    if np.isfinite(grid.affine_ras).all() and (spacing > 0).all():
        directions = grid.affine_ras[:3, :3] / spacing
        if abs(np.linalg.det(directions)) > 1e-3:
            return
    raise InputError(
        f"a volume of {grid.shape} voxels with affine {grid.affine_ras.tolist()}",
        expected="an affine of finite numbers whose three axes point in different directions",
        remedy="export the image again, with its position and orientation",
    )
