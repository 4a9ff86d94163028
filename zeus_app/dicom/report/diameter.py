"""The longest diameter of a mask within one slice of its series."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist

from zeus_app.types import BoolArray

Point = tuple[float, float]


@dataclass(frozen=True)
class Diameter:
    """The longest straight line between two points of a mask in one slice.

    A pixel is a rectangle here, as in a volume. So the line ends at outer corners of pixels, and
    the diameter of one pixel is its diagonal. Points are (column, row) as DICOM PS3.3 C.18.6.1.2
    has them: (0, 0) is the top left corner of the first pixel, and (0.5, 0.5) its centre.

    Attributes:
        length_mm: the length.
        slice_index: index of the slice in the volume.
        start_px, end_px: both ends, in pixels.
    """

    length_mm: float
    slice_index: int
    start_px: Point
    end_px: Point


def longest_diameter(mask: BoolArray, spacing_mm: tuple[float, float]) -> Diameter | None:
    """The longest diameter of a mask; None for an empty mask, the first slice for equal ones.

    Args:
        mask: (columns, rows, slices) bool.
        spacing_mm: distance between columns, and between rows.
    """
    slices = np.flatnonzero(mask.any(axis=(0, 1)))
    diameters = [_in_slice(mask[:, :, k], int(k), spacing_mm) for k in slices]
    return max(diameters, key=lambda diameter: diameter.length_mm, default=None)


def _in_slice(mask: BoolArray, slice_index: int, spacing_mm: tuple[float, float]) -> Diameter:
    """The longest diameter of a slice's mask, (columns, rows), which is not empty.

    Both ends of the longest line are corners of the convex hull.
    """
    corners_px = _outer_corners(mask)
    corners_mm = corners_px * np.array(spacing_mm)
    hull = np.sort(ConvexHull(corners_mm).vertices)
    distances_mm = cdist(corners_mm[hull], corners_mm[hull])
    first, second = np.unravel_index(int(distances_mm.argmax()), distances_mm.shape)
    start, end = corners_px[hull[first]], corners_px[hull[second]]
    return Diameter(
        length_mm=float(distances_mm[first, second]),
        slice_index=slice_index,
        start_px=(float(start[0]), float(start[1])),
        end_px=(float(end[0]), float(end[1])),
    )


def _outer_corners(mask: BoolArray) -> npt.NDArray[np.float64]:
    """(N, 2) corners (column, row) of the first and the last pixel of each row in the mask."""
    rows = np.flatnonzero(mask.any(axis=0))
    first = mask[:, rows].argmax(axis=0)
    last = mask.shape[0] - mask[::-1, rows].argmax(axis=0)  # the right edge
    corners = [
        np.stack([columns, rows + edge], axis=1) for columns in (first, last) for edge in (0, 1)
    ]
    unique: npt.NDArray[np.float64] = np.unique(np.concatenate(corners), axis=0).astype(np.float64)
    return unique
