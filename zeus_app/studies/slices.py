"""Axial slices as square pictures for the towers, and pictures back as voxels.

Pixel and voxel centres follow one convention both ways: a picture's slice area spans exactly the
voxels' outer faces (`align_corners=False`), so nothing shifts by half a pixel.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from zeus_app.studies.align import AlignedStudy
from zeus_app.studies.background import tissue_mask
from zeus_app.types import PICTURE_PX, BoolArray, FloatArray, Grid, SliceFrame, SliceStack

MIN_TISSUE_SHARE = 0.005
"""Least share of a slice's voxels that show tissue before the slice is worth looking at."""
WINDOW_PERCENTILES = (0.5, 99.5)
"""Of the tissue's intensities; between them lies the picture's range from 0 to 1."""
SLICES_AT_ONCE = 32


def make_frame(grid: Grid, size: int = PICTURE_PX) -> SliceFrame:
    """Lay the axial slices of a RAS-canonical grid into `size`×`size` pictures.

    The longer side in mm fills the picture, mm stay square, the rest is padded evenly.
    """
    spacing_x_mm, spacing_y_mm, _ = grid.spacing_mm
    width_mm = grid.shape[0] * spacing_x_mm
    height_mm = grid.shape[1] * spacing_y_mm
    px_per_mm = size / max(width_mm, height_mm)
    rows_px = max(1, round(height_mm * px_per_mm))
    cols_px = max(1, round(width_mm * px_per_mm))
    return SliceFrame(
        grid=grid,
        size=size,
        rows_px=rows_px,
        cols_px=cols_px,
        top_px=(size - rows_px) // 2,
        left_px=(size - cols_px) // 2,
    )


def slice_stack(
    aligned: AlignedStudy, sequences: tuple[str, ...], size: int = PICTURE_PX
) -> SliceStack:
    """Turn a study into windowed pictures.

    Args:
        aligned: the study on one canonical grid.
        sequences: the M names wanted, in order; those the study lacks become zeros.
        size: edge of a picture in pixels.

    Returns:
        Pictures in [0, 1], where 0 is background, with tissue marked per sequence and slice.
    """
    frame = make_frame(aligned.grid, size)
    slices = aligned.grid.shape[2]
    pixels = np.zeros((len(sequences), slices, size, size), dtype=np.float32)
    tissue = np.zeros((len(sequences), slices), dtype=np.bool_)
    for m, name in enumerate(sequences):
        if name not in aligned.volumes:
            continue
        array = aligned.volumes[name].array.astype(np.float32, copy=False)
        mask = tissue_mask(array, aligned.backgrounds[name])
        tissue[m] = mask.mean(axis=(0, 1)) >= MIN_TISSUE_SHARE
        shown = tissue[m]
        if shown.any():
            windowed = _windowed(array, mask)
            pixels[m, shown] = to_pictures(windowed[:, :, shown], frame, nearest=False)
    return SliceStack(sequences, pixels, tissue, frame)


def to_pictures(
    array_xyz: npt.NDArray[np.generic], frame: SliceFrame, *, nearest: bool, fill: float = 0.0
) -> npt.NDArray[np.generic]:
    """Show axial slices as pictures.

    Args:
        array_xyz: (X, Y, S) values on the frame's grid; S may be any choice of its slices.
        frame: how slices lie in pictures.
        nearest: take the voxel at each pixel's centre (to show label maps; to learn from them,
            `labels.label_pictures` is fairer where pixels are coarser than voxels); else linear,
            averaging where it shrinks.
        fill: value of the padding.

    Returns:
        (S, size, size); of the input's dtype when nearest, else float32.
    """
    assert array_xyz.shape[:2] == frame.grid.shape[:2], "array does not lie on the frame's grid"
    slices = array_xyz.shape[2]
    dtype = array_xyz.dtype if nearest else np.dtype(np.float32)
    pictures = np.full((slices, frame.size, frame.size), fill, dtype=dtype)
    inner = inner_part(pictures, frame)
    radiological = array_xyz[::-1, ::-1].transpose(2, 1, 0)  # (S, Y, X): anterior, right first
    if nearest:
        rows = nearest_indices(frame.grid.shape[1], frame.rows_px)
        cols = nearest_indices(frame.grid.shape[0], frame.cols_px)
        inner[:] = radiological[:, rows[:, None], cols[None, :]]
        return pictures
    for start in range(0, slices, SLICES_AT_ONCE):
        part = slice(start, start + SLICES_AT_ONCE)
        inner[part] = _resized(radiological[part], frame.rows_px, frame.cols_px, antialias=True)
    return pictures


def to_voxels(pictures: npt.NDArray[np.generic], frame: SliceFrame) -> FloatArray:
    """Read pictures back at the voxel centres of the frame's grid, linearly; padding is dropped.

    No averaging even where the grid is coarser than the picture: each voxel takes the value at its
    centre, so that a mask that `to_pictures` enlarged twofold or more comes back as it was.

    Args:
        pictures: (..., S, size, size) values such as probabilities.
        frame: how slices lie in pictures.

    Returns:
        (..., X, Y, S) float32.
    """
    assert pictures.shape[-2:] == (frame.size, frame.size), "pictures do not fit the frame"
    x, y, _ = frame.grid.shape
    *leading, slices = pictures.shape[:-2]
    stacks = inner_part(pictures, frame).reshape(-1, slices, frame.rows_px, frame.cols_px)
    voxels = np.empty((len(stacks), x, y, slices), dtype=np.float32)
    for stack, out in zip(stacks, voxels, strict=True):
        for start in range(0, slices, SLICES_AT_ONCE):
            part = slice(start, start + SLICES_AT_ONCE)
            radiological = _resized(stack[part], y, x, antialias=False)  # (S, Y, X)
            out[:, :, part] = radiological.transpose(2, 1, 0)[::-1, ::-1]
    return voxels.reshape(*leading, x, y, slices)


def to_pixels(voxels_xyz: npt.NDArray[np.float64], frame: SliceFrame) -> npt.NDArray[np.float64]:
    """Where points of the grid lie in the pictures, for clicks, boxes and small parts.

    Args:
        voxels_xyz: (N, 3) voxel indices on the frame's grid; whole numbers are voxel centres.
        frame: how slices lie in pictures.

    Returns:
        (N, 3) slice, row and column in px; whole numbers are pixel centres.
    """
    x, y, _ = frame.grid.shape
    row = frame.top_px + (y - 0.5 - voxels_xyz[:, 1]) * frame.rows_px / y - 0.5
    col = frame.left_px + (x - 0.5 - voxels_xyz[:, 0]) * frame.cols_px / x - 0.5
    return np.stack([voxels_xyz[:, 2], row, col], axis=1)


def _windowed(array: FloatArray, tissue: BoolArray) -> FloatArray:
    """Scale the tissue's percentile window to [0, 1]; everything that is no tissue becomes 0."""
    low, high = np.percentile(array[tissue], WINDOW_PERCENTILES)
    if high <= low:  # tissue of one value: show where it is
        return tissue.astype(np.float32)
    scaled: FloatArray = array - np.float32(low)
    scaled /= np.float32(high - low)
    np.clip(scaled, 0.0, 1.0, out=scaled)
    scaled *= tissue
    return scaled


def inner_part(pictures: npt.NDArray[np.generic], frame: SliceFrame) -> npt.NDArray[np.generic]:
    """The part of the pictures that holds the slices: (..., rows_px, cols_px), a view."""
    return pictures[
        ...,
        frame.top_px : frame.top_px + frame.rows_px,
        frame.left_px : frame.left_px + frame.cols_px,
    ]


def nearest_indices(voxels: int, pixels: int) -> npt.NDArray[np.intp]:
    """Index of the voxel that holds each pixel's centre, exactly, in whole numbers."""
    return ((2 * np.arange(pixels) + 1) * voxels) // (2 * pixels)


def _resized(
    pictures: npt.NDArray[np.generic], rows: int, cols: int, *, antialias: bool
) -> FloatArray:
    """(N, h, w) -> (N, rows, cols) float32, linear."""
    # A copy: torch takes no negative strides, which ascontiguousarray leaves on axes of one.
    values = np.array(pictures, dtype=np.float32, order="C")
    if values.shape[1:] == (rows, cols):
        return values
    resized: FloatArray = functional.interpolate(
        torch.from_numpy(values)[:, None],
        size=(rows, cols),
        mode="bilinear",
        align_corners=False,
        antialias=antialias,
    )[:, 0].numpy()
    return resized
