"""Resample the sequences of a study to one grid: the reference's, reoriented to RAS+.

Reorienting permutes and flips voxels; it never interpolates. For interpolation, voxels are boxes:
a point within half a voxel of an outermost centre is inside the volume.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from scipy import ndimage

from zeus_app.errors import InputError
from zeus_app.studies.background import Background, find_background
from zeus_app.targets import Target
from zeus_app.types import Affine, BoolArray, Grid, Study, Volume

MIN_OVERLAP = 0.05
"""Minimum share of the smaller of two volumes that must lie inside the other."""
EDGE_TOLERANCE_VOXELS = 1e-3
"""Tolerance at a voxel's face, because files store affines as float32."""
TIE_BREAK_VOXELS = 1e-6
"""Shift by which a point midway between two voxels always goes to the higher one."""


@dataclass(frozen=True, eq=False)
class AlignedStudy:
    """A study whose sequences share one grid.

    Attributes:
        id: the study's id.
        reference: the sequence whose grid is used. Its voxels are not interpolated.
        grid: RAS-canonical grid of the reference.
        volumes: sequence name -> (X, Y, Z) float32 volume on `grid`.
        backgrounds: sequence name -> its background. Voxels outside a sequence have this value.
    """

    id: str
    reference: str
    grid: Grid
    volumes: Mapping[str, Volume]
    backgrounds: Mapping[str, Background]


def align(study: Study, reference: str) -> AlignedStudy:
    """Resample every sequence of a study to the canonical grid of its reference.

    Args:
        study: sequences as stored, in any orientation.
        reference: name of the reference sequence.

    Raises:
        InputError: a sequence shares less than `MIN_OVERLAP` with the reference, or an affine is
            not invertible.
    """
    grid = canonical(study.volumes[reference]).grid
    volumes, backgrounds = {}, {}
    for name, stored in study.volumes.items():
        volume = canonical(stored)
        _check_overlap(volume.grid, grid, what=f"sequence {name} of study {study.id!r}")
        array = volume.array.astype(np.float32, copy=False)  # interpolation in integers would round
        backgrounds[name] = find_background(array)
        volumes[name] = to_grid(
            Volume(array, volume.affine_ras), grid, order=1, fill=backgrounds[name].value
        )
    return AlignedStudy(study.id, reference, grid, volumes, backgrounds)


def align_for(study: Study, target: Target) -> AlignedStudy:
    """Align the sequences of a target to the reference that it prefers.

    Raises:
        InputError: as `align`, or the study has no sequence of the target.
    """
    volumes = {n: v for n, v in study.volumes.items() if n in target.sequence_names}
    reference = target.reference_of(tuple(volumes) or tuple(study.volumes))
    return align(Study(study.id, volumes), reference)


def canonical(volume: Volume) -> Volume:
    """Permute and flip the axes to the closest RAS+ order. Voxels keep their values and places.

    Raises:
        InputError: the affine is singular or not finite.
    """
    _check_invertible(volume.grid)
    return _reorient(volume, io_orientation(volume.affine_ras))


def _reorient(volume: Volume, orientation: npt.NDArray[np.float64]) -> Volume:
    """Permute and flip the axes by a nibabel orientation, (3, 2): target axis and sign."""
    array = np.ascontiguousarray(apply_orientation(volume.array, orientation))
    return Volume(array, volume.affine_ras @ inv_ornt_aff(orientation, volume.array.shape))


def axial_slices(grid: Grid) -> int:
    """Number of axial slices of a grid, in any storage order."""
    axis = list(io_orientation(grid.affine_ras)[:, 0]).index(2)
    return grid.shape[axis]


def to_grid(volume: Volume, grid: Grid, *, order: int, fill: float) -> Volume:
    """Resample a volume to another grid.

    If the grids differ by orientation only, the result is an exact permutation.

    Args:
        volume: image or label, on any grid.
        grid: the grid of the result.
        order: 0 for nearest (labels), 1 for linear (images).
        fill: value outside the volume.

    Returns:
        A volume on `grid`, with the dtype of `volume`.

    Raises:
        InputError: an affine is singular or not finite.
    """
    matrix = _index_map(grid, volume.grid)
    permuted = _permuted(volume, matrix)
    if permuted is not None and permuted.grid.matches(grid):
        return Volume(permuted.array, grid.affine_ras)
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
        for x in range(outer.shape[0]):  # plane by plane, because a whole grid of float64 is large
            offset = by_x * x
            inside[x] &= plane >= -0.5 - EDGE_TOLERANCE_VOXELS - offset
            inside[x] &= plane <= n - 0.5 + EDGE_TOLERANCE_VOXELS - offset
    return inside


def _check_overlap(grid: Grid, reference: Grid, *, what: str) -> None:
    if grid.matches(reference):
        return
    overlap = shared_share(grid, reference)
    if overlap < MIN_OVERLAP:
        raise InputError(
            f"{what} ({grid}) and the reference ({reference}) share {overlap:.1%} of the smaller",
            expected=f"sequences of one body region, sharing at least {MIN_OVERLAP:.0%}",
            remedy="check that the files belong to one study, or remove the one that does not",
        )


def shared_share(grid: Grid, reference: Grid) -> float:
    """The volume that two grids both cover, as a share of the smaller one, in [0, 1].

    Raises:
        InputError: an affine is singular or not finite.
    """
    voxels = float(field_of_view(grid, reference).sum())
    sizes_ml = [float(np.prod(g.shape)) * g.voxel_ml for g in (grid, reference)]
    return voxels * reference.voxel_ml / min(sizes_ml)


def _index_map(source: Grid, target: Grid) -> Affine:
    """(4, 4) matrix from voxel indices of `source` to voxel indices of `target`."""
    _check_invertible(source)
    _check_invertible(target)
    matrix: Affine = np.linalg.solve(target.affine_ras, source.affine_ras)
    return matrix


def _permuted(volume: Volume, matrix: Affine) -> Volume | None:
    """The volume with permuted and flipped axes, if `matrix` is close to such a permutation.

    Args:
        volume: the volume.
        matrix: (4, 4), from voxel indices of the result to those of the volume.
    """
    axes = np.round(matrix[:3, :3])
    if not np.array_equal(np.abs(axes).sum(0), np.ones(3)) or not np.array_equal(
        np.abs(axes).sum(1), np.ones(3)
    ):
        return None
    orientation = np.array([(int(np.abs(row).argmax()), row.sum()) for row in axes])
    return _reorient(volume, orientation)


def _check_invertible(grid: Grid) -> None:
    spacing = np.linalg.norm(grid.affine_ras[:3, :3], axis=0)
    if np.isfinite(grid.affine_ras).all() and (spacing > 0).all():
        directions = grid.affine_ras[:3, :3] / spacing
        if abs(np.linalg.det(directions)) > 1e-3:
            return
    raise InputError(
        f"a volume of {grid.shape} voxels with affine {grid.affine_ras.tolist()}",
        expected="an affine of finite numbers whose three axes point in different directions",
        remedy="export the image again with its position and orientation",
    )
