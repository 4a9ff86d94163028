"""Label maps as slice pictures, for training and for prompts drawn from labels."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from zeus_app.studies.slices import inner_part, nearest_indices, to_pictures, to_pixels
from zeus_app.types import BoolArray, FloatArray, LabelArray, SliceFrame, Volume

TIE_SHARE = 1e-4
"""Shares of a pixel that differ by less are equal. Rounding errors are far smaller."""
IN_PLANE_NEIGHBOURS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])[:, :, None] * [0, 1, 0]
"""(3, 3, 3) neighbourhood that joins voxels within one axial slice only."""


def label_pictures(label: Volume, frame: SliceFrame, values: tuple[int, ...]) -> LabelArray:
    """Draw each class of a label map as pictures.

    Along an axis where pixels are at least as fine as voxels, a pixel takes the voxel at its
    centre. Where pixels are coarser, a pixel takes the class that covers most of it. A tie goes to
    the earlier class, and last to the background. (The nearest voxel would shift a mask by half a
    voxel at every even factor.)

    Small lesions never vanish: a connected part that wins no pixel in its slice gets the pixel at
    its middle. Where two such parts fall into one pixel, the later class gets it.

    Args:
        label: (X, Y, Z) label map on the frame's grid.
        frame: how slices are placed in pictures.
        values: the K label values, in channel order.

    Returns:
        (S, K, size, size) uint8, 1 inside; no pixel belongs to two classes.
    """
    assert label.grid.matches(frame.grid), "label does not lie on the frame's grid"
    width, height, _ = frame.grid.shape
    if frame.rows_px >= height and frame.cols_px >= width:
        classes = to_pictures(label.array, frame, nearest=True)  # (S, size, size)
    else:
        classes = _majorities(label.array, frame, values)
        for value in values:
            _draw_lost_parts(classes, label.array == value, value, frame)
    pictures = np.empty((len(classes), len(values), frame.size, frame.size), dtype=np.uint8)
    for k, value in enumerate(values):
        pictures[:, k] = classes == value
    return pictures


def _majorities(
    array_xyz: npt.NDArray[np.generic], frame: SliceFrame, values: tuple[int, ...]
) -> LabelArray:
    """(S, size, size): the value that covers most of each pixel; 0 for all other values."""
    width, height, slices = frame.grid.shape
    by_row, by_col = _coverage(height, frame.rows_px), _coverage(width, frame.cols_px).T
    pictures = np.zeros((slices, frame.size, frame.size), dtype=np.uint8)
    inner = inner_part(pictures, frame)
    ranked = np.array((*values, 0), dtype=np.uint8)
    for s in range(slices):
        radiological = array_xyz[::-1, ::-1, s].T  # (Y, X)
        shares = [by_row @ (radiological == value) @ by_col for value in values]
        shares.append(1 - np.sum(shares, axis=0, dtype=np.float32))
        ties = TIE_SHARE * np.arange(len(ranked), dtype=np.float32)[:, None, None]
        inner[s] = ranked[np.argmax(np.stack(shares) - ties, axis=0)]
    return pictures


def _coverage(voxels: int, pixels: int) -> FloatArray:
    """(pixels, voxels): the share of each pixel that each voxel covers, along one axis."""
    if pixels >= voxels:
        return np.eye(voxels, dtype=np.float32)[nearest_indices(voxels, pixels)]
    starts = np.arange(pixels)[:, None] * (voxels / pixels)
    ends = starts + voxels / pixels
    index = np.arange(voxels)
    shared = np.minimum(ends, index + 1) - np.maximum(starts, index)
    shares: FloatArray = (np.clip(shared, 0, None) * pixels / voxels).astype(np.float32)
    return shares


def _draw_lost_parts(classes: LabelArray, mask: BoolArray, value: int, frame: SliceFrame) -> None:
    """Set the pixel at the middle of each in-plane part that won no pixel. Changes `classes`."""
    parts, count = ndimage.label(mask, structure=IN_PLANE_NEIGHBOURS)
    voxels, part_of = np.argwhere(mask), parts[mask]  # both in the array's order
    pixels = np.round(to_pixels(voxels.astype(np.float64), frame)).astype(np.intp)
    won = classes[tuple(pixels.T)] == value
    lost = np.setdiff1d(np.arange(1, count + 1), part_of[won])
    of_lost = np.isin(part_of, lost)
    voxels, part_of, pixels = voxels[of_lost], part_of[of_lost], pixels[of_lost]
    for part in lost:
        members = np.flatnonzero(part_of == part)
        offsets = voxels[members] - voxels[members].mean(axis=0)
        middle = members[(offsets**2).sum(axis=1).argmin()]
        classes[tuple(pixels[middle])] = value
