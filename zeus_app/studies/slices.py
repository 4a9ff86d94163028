"""Convert axial slices to square pictures for the towers, and pictures to voxels.

Both directions use one convention: the slice's area in a picture spans the outer faces of its
voxels (`align_corners=False`). So nothing shifts by half a pixel.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from zeus_app.studies.align import AlignedStudy
from zeus_app.studies.background import tissue_mask
from zeus_app.types import PICTURE_PX, BoolArray, FloatArray, Grid, SliceFrame, SliceStack

MIN_TISSUE_SHARE = 0.005
"""Minimum share of tissue voxels in a slice. Slices with less are skipped."""
WINDOW_PERCENTILES = (0.5, 99.5)
"""Percentiles of the tissue's intensities that become 0 and 1 in the picture."""
SLICES_AT_ONCE = 32


def make_frame(grid: Grid, size: int = PICTURE_PX) -> SliceFrame:
    """The frame that places axial slices of a RAS-canonical grid in `size`×`size` pictures.

    The slice's longer side in mm fills the picture. Pixels are square in mm. Padding is even.
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
    """Cut a study into windowed pictures.

    Args:
        aligned: the study on one canonical grid.
        sequences: the M sequence names in order. Sequences that the study lacks become zeros.
        size: edge of a picture in pixels.

    Returns:
        Pictures in [0, 1] with background 0, and a mark for each slice with tissue.
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
        with_tissue = tissue[m]
        if with_tissue.any():
            windowed = _windowed(array, mask)
            pixels[m, with_tissue] = to_pictures(windowed[:, :, with_tissue], frame, nearest=False)
    return SliceStack(sequences, pixels, tissue, frame)


def to_pictures(
    array_xyz: npt.NDArray[np.generic], frame: SliceFrame, *, nearest: bool, fill: float = 0.0
) -> npt.NDArray[np.generic]:
    """Convert axial slices to pictures.

    Args:
        array_xyz: (X, Y, S) values on the frame's grid; S may be a subset of its slices.
        frame: how slices are placed in pictures.
        nearest: True takes the voxel at each pixel's centre, to show label maps (for training see
            `labels.pictures.label_pictures`). False interpolates linearly, with averaging where
            pixels are coarser than voxels.
        fill: value of the padding.

    Returns:
        (S, size, size), with the input's dtype if `nearest`, else float32.
    """
    assert array_xyz.shape[:2] == frame.grid.shape[:2], "array does not lie on the frame's grid"
    slices = array_xyz.shape[2]
    dtype = array_xyz.dtype if nearest else np.dtype(np.float32)
    pictures = np.full((slices, frame.size, frame.size), fill, dtype=dtype)
    inner = inner_part(pictures, frame)
    radiological = array_xyz[::-1, ::-1].transpose(2, 1, 0)  # (S, Y, X), anterior and right first
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
    """Interpolate pictures linearly at the voxel centres of the frame's grid.

    There is no averaging, even if voxels are coarser than pixels: each voxel gets the value at its
    centre. So a mask that `to_pictures` enlarged twofold or more returns unchanged.

    Args:
        pictures: (..., S, size, size) values such as probabilities. Padding is ignored.
        frame: how slices are placed in pictures.

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
    """Convert voxel indices to pixels, for points, boxes and small parts of labels.

    Args:
        voxels_xyz: (N, 3) voxel indices on the frame's grid. Whole numbers are voxel centres.
        frame: how slices are placed in pictures.

    Returns:
        (N, 3) slice, row and column in px. Whole numbers are pixel centres.
    """
    x, y, _ = frame.grid.shape
    row = frame.top_px + (y - 0.5 - voxels_xyz[:, 1]) * frame.rows_px / y - 0.5
    col = frame.left_px + (x - 0.5 - voxels_xyz[:, 0]) * frame.cols_px / x - 0.5
    return np.stack([voxels_xyz[:, 2], row, col], axis=1)


def _windowed(array: FloatArray, tissue: BoolArray) -> FloatArray:
    """Scale the tissue's percentile window to [0, 1]. All other voxels become 0."""
    low, high = np.percentile(array[tissue], WINDOW_PERCENTILES)
    if high <= low:  # tissue of one value
        return tissue.astype(np.float32)
    scaled: FloatArray = array - np.float32(low)
    scaled /= np.float32(high - low)
    np.clip(scaled, 0.0, 1.0, out=scaled)
    scaled *= tissue
    return scaled


def inner_part(pictures: npt.NDArray[np.generic], frame: SliceFrame) -> npt.NDArray[np.generic]:
    """View of the pictures without padding: (..., rows_px, cols_px)."""
    return pictures[
        ...,
        frame.top_px : frame.top_px + frame.rows_px,
        frame.left_px : frame.left_px + frame.cols_px,
    ]


def nearest_indices(voxels: int, pixels: int) -> npt.NDArray[np.intp]:
    """Index of the voxel at each pixel's centre, computed exactly in integers."""
    return ((2 * np.arange(pixels) + 1) * voxels) // (2 * pixels)


def _resized(
    pictures: npt.NDArray[np.generic], rows: int, cols: int, *, antialias: bool
) -> FloatArray:
    """Interpolate (N, h, w) linearly to (N, rows, cols) float32."""
    # A copy, because torch refuses negative strides and ascontiguousarray keeps them on axes of 1.
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
