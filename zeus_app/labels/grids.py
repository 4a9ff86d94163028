"""Labels as pictures to learn from, and the checks a label passes before it is believed."""

import numpy as np
import numpy.typing as npt
from nibabel.orientations import aff2axcodes
from scipy import ndimage

from zeus_app.errors import InputError
from zeus_app.studies.align import canonical, to_grid
from zeus_app.studies.slices import inner_part, nearest_indices, to_pictures, to_pixels
from zeus_app.types import BoolArray, FloatArray, Grid, LabelArray, SliceFrame, Volume

PLACE_TOLERANCE_VOXELS = 0.1
"""How far a label's voxels may lie from the image's, in the image's smallest voxel edge: room for
affines rounded by other programs, an order of magnitude below a shift by one voxel."""
VALUES_SHOWN = 10
TIE_SHARE = 1e-4
"""Shares of a pixel closer than this are tied; rounding is far below."""
IN_PLANE_NEIGHBOURS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])[:, :, None] * [0, 1, 0]
"""(3, 3, 3) neighbourhood that joins voxels within an axial slice only."""


def check_label(label: Volume, expected: Grid, values: tuple[int, ...]) -> None:
    """Refuse a label that does not lie on a grid or holds unknown classes.

    Args:
        label: of any dtype.
        expected: the grid of the image it was drawn on.
        values: the target's label values; 0, the background, is always allowed.

    Raises:
        InputError: wrong shape, wrong place, or values that are not among `values`.
    """
    if label.array.shape != expected.shape:
        raise InputError(
            f"a label of shape {_shape(label.array.shape)}",
            expected=f"the image's shape, {_shape(expected.shape)}",
            remedy="draw the label on this image, or resample it onto the image",
        )
    if not label.grid.matches(expected, tolerance_mm=_tolerance_mm(expected)):
        raise InputError(
            f"a label that lies elsewhere than its image: {place_of(label.grid)}",
            expected=f"the image's grid, {place_of(expected)}",
            remedy="save the label with the image's own geometry, or resample it onto the image",
        )
    known = np.isin(label.array, (0, *values))
    if not known.all():
        unknown = np.unique(label.array[~known])
        shown = ", ".join(f"{value:g}" for value in unknown[:VALUES_SHOWN])
        more = f" and {len(unknown) - VALUES_SHOWN} more" if len(unknown) > VALUES_SHOWN else ""
        raise InputError(
            f"a label with values no class of the target has: {shown}{more}",
            expected=f"0 for background and {', '.join(str(value) for value in values)}",
            remedy="rename the segments to the target's labels, or import it with "
            "`zeus import-labels`, which maps foreign values",
        )


def in_order_of(label: Volume, image: Grid) -> Volume:
    """The label in the storage order of an image at the same place, voxel for voxel.

    One that lies elsewhere is given back as it came; `check_label` refuses it.
    """
    if label.grid.matches(image, tolerance_mm=_tolerance_mm(image)):
        return label
    if not same_place(label.grid, image):
        return label
    return to_grid(label, image, order=0, fill=0)


def same_place(label: Grid, image: Grid) -> bool:
    """Whether both put the same voxels at the same place, in whatever storage order."""
    return _canonical(label).matches(_canonical(image), tolerance_mm=_tolerance_mm(image))


def _canonical(grid: Grid) -> Grid:
    return canonical(Volume(np.broadcast_to(np.False_, grid.shape), grid.affine_ras)).grid


def _tolerance_mm(image: Grid) -> float:
    return PLACE_TOLERANCE_VOXELS * min(image.spacing_mm)


def label_pictures(label: Volume, frame: SliceFrame, values: tuple[int, ...]) -> LabelArray:
    """Show each class of a label map as pictures.

    Along an axis where pixels are as fine as voxels, a pixel takes the voxel at its centre. Where
    pixels are coarser, it takes the class that covers most of it, a tie going to the earlier class
    and last to the background: the nearest voxel would shift a mask by half a voxel at every even
    factor. A connected part that wins no pixel in its slice is given the
    pixel at its middle, so that small lesions never vanish (where two such parts fall into one
    pixel, the later class has it).

    Args:
        label: (X, Y, Z) label map on the frame's grid.
        frame: how slices lie in pictures.
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
            _keep_every_part(classes, label.array == value, value, frame)
    pictures = np.empty((len(classes), len(values), frame.size, frame.size), dtype=np.uint8)
    for k, value in enumerate(values):
        pictures[:, k] = classes == value
    return pictures


def _majorities(
    array_xyz: npt.NDArray[np.generic], frame: SliceFrame, values: tuple[int, ...]
) -> LabelArray:
    """(S, size, size) value that covers most of each pixel, 0 for everything not in `values`."""
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
    """(pixels, voxels) share of each pixel that each voxel covers, along one axis."""
    if pixels >= voxels:
        return np.eye(voxels, dtype=np.float32)[nearest_indices(voxels, pixels)]
    starts = np.arange(pixels)[:, None] * (voxels / pixels)
    ends = starts + voxels / pixels
    index = np.arange(voxels)
    shared = np.minimum(ends, index + 1) - np.maximum(starts, index)
    shares: FloatArray = (np.clip(shared, 0, None) * pixels / voxels).astype(np.float32)
    return shares


def _keep_every_part(classes: LabelArray, mask: BoolArray, value: int, frame: SliceFrame) -> None:
    """Give each in-plane part of a mask that won no pixel the one at its middle, in place."""
    parts, count = ndimage.label(mask, structure=IN_PLANE_NEIGHBOURS)
    voxels, part_of = np.argwhere(mask), parts[mask]  # both in the array's order
    pixels = np.round(to_pixels(voxels.astype(np.float64), frame)).astype(np.intp)
    won = classes[tuple(pixels.T)] == value
    lost = np.setdiff1d(np.arange(1, count + 1), part_of[won])
    concerned = np.isin(part_of, lost)
    voxels, part_of, pixels = voxels[concerned], part_of[concerned], pixels[concerned]
    for part in lost:
        own = np.flatnonzero(part_of == part)
        away = ((voxels[own] - voxels[own].mean(axis=0)) ** 2).sum(axis=1)
        classes[tuple(pixels[own[away.argmin()]])] = value


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in shape)


def place_of(grid: Grid) -> str:
    """A grid with what two grids of one shape, spacing and origin may still differ in."""
    last = grid.affine_ras @ [*(n - 1 for n in grid.shape), 1]
    placed = np.isfinite(grid.affine_ras).all()
    axes = "".join(str(code) for code in aff2axcodes(grid.affine_ras)) if placed else "unknown"
    return f"{grid}, last at ({', '.join(f'{mm:.1f}' for mm in last[:3])}) mm, axes {axes}"
