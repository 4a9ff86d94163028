"""Studies painted in millimetres: on any grid the true mask is known without resampling.

A shape is a union of boxes in RAS mm. An image shows the shape at every voxel whose centre lies
inside. The grid's affine alone therefore gives the true mask.
"""

from collections.abc import Sequence
from itertools import permutations, product

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.affines import apply_affine
from nibabel.eulerangles import euler2mat

from zeus_app.types import BoolArray, Grid, Volume

Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]  # RAS mm, per axis

STORAGE_ORDERS = tuple(
    "".join(pair[flip] for pair, flip in zip(pairs, flips, strict=True))
    for pairs in permutations(("RL", "AP", "SI"))
    for flips in product((0, 1), repeat=3)
)
"""All 48: RAS, RAI, ..., LPS, ..., IPL."""

AIR, TISSUE, RIPPLE, BRIGHT = 94.0, 100.0, 2.0, 300.0
"""Tissue is nearly air, and nearly flat, so that half of a picture's range is the middle between
whatever surrounds an object and the object itself."""


def grid(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    *,
    centre_mm: Sequence[float] = (0, 0, 0),
    angles_rad: tuple[float, float, float] = (0, 0, 0),
) -> Grid:
    """A grid around a point, its axes along R, A and S or turned away from them."""
    matrix = euler2mat(*angles_rad) @ np.diag(spacing_mm)
    origin = np.asarray(centre_mm) - matrix @ (np.asarray(shape) - 1) / 2
    return Grid(shape, nibabel.affines.from_matvec(matrix, origin))


def in_order(on: Grid, codes: str) -> Grid:
    """The same voxel places in another storage order, as nibabel turns an image."""
    image = nibabel.Nifti1Image(np.zeros(on.shape, np.uint8), on.affine_ras)
    orientation = nibabel.orientations.axcodes2ornt(codes)
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.io_orientation(on.affine_ras), orientation
    )
    turned = image.as_reoriented(turn)
    assert nibabel.aff2axcodes(turned.affine) == tuple(codes)
    return Grid(turned.shape, turned.affine)


def centres_mm(on: Grid) -> npt.NDArray[np.float64]:
    """(X, Y, Z, 3) RAS mm of every voxel's centre."""
    indices = np.stack(np.meshgrid(*map(np.arange, on.shape), indexing="ij"), axis=-1)
    centres: npt.NDArray[np.float64] = apply_affine(on.affine_ras, indices)
    return centres


def inside(on: Grid, shape: Sequence[Box], *, grown_mm: Sequence[float] = (0, 0, 0)) -> BoolArray:
    """Which voxel centres lie in the shape, each of its boxes grown at every face (or shrunk)."""
    mm, grown = centres_mm(on), np.asarray(grown_mm)
    mask = np.zeros(on.shape, np.bool_)
    for box in shape:
        low, high = np.asarray(box).T
        mask |= ((mm > low - grown) & (mm < high + grown)).all(axis=-1)
    return mask


def painted(on: Grid, shape: Sequence[Box], *, radius_mm: tuple[float, float]) -> Volume:
    """An upright elliptic body of tissue in air, in which the shape is bright."""
    mm = centres_mm(on)
    x, y = mm[..., 0] / radius_mm[0], mm[..., 1] / radius_mm[1]
    ripple = RIPPLE * np.sin(mm @ [0.31, 0.23, 0.17])
    array = np.where(x**2 + y**2 < 1, TISSUE + ripple, AIR)
    array[inside(on, shape)] = BRIGHT
    return Volume(array.astype(np.float32), on.affine_ras)
