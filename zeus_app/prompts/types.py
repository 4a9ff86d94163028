"""Prompts of a user: StudyPrompt in voxels of a study, SlicePrompt in pixels of one slice."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from zeus_app.studies.slices import to_pictures, to_pixels
from zeus_app.types import BoolArray, Grid, SliceFrame

Voxel = tuple[float, float, float]
"""(i, j, k) on a grid; whole numbers are voxel centres."""

Point = tuple[float, float]
"""(row, column) in px; whole numbers are pixel centres."""

BoxPx = tuple[float, float, float, float]
"""(left, top, right, bottom) in px, outer faces: a box of one pixel is 1 px wide."""

MAX_SCRIBBLE_POINTS = 32
"""Most points of one scribble on one slice. They are spread evenly along the scribble."""


def _no_voxels() -> npt.NDArray[np.float64]:
    return np.empty((0, 3))


@dataclass(frozen=True, eq=False)
class Scribbles:
    """Voxels that a user drew on.

    Attributes:
        foreground: (N, 3) float64, voxels on the label.
        background: the same, voxels outside the label.
    """

    foreground: npt.NDArray[np.float64] = field(default_factory=_no_voxels)
    background: npt.NDArray[np.float64] = field(default_factory=_no_voxels)


@dataclass(frozen=True)
class StudyPrompt:
    """All prompts for one label of a study, in voxels of one grid.

    Attributes:
        foreground: points on the label.
        background: points outside the label.
        box: two opposite corner voxels, in any order. Both corners are inside.
        scribbles: voxels that the user drew on; each counts as a point. Not compared by `==`.
        initial_mask: (X, Y, Z) bool, the mask to refine, or None. Not compared by `==`.
    """

    foreground: tuple[Voxel, ...] = ()
    background: tuple[Voxel, ...] = ()
    box: tuple[Voxel, Voxel] | None = None
    scribbles: Scribbles = field(default_factory=Scribbles, compare=False, repr=False)
    initial_mask: BoolArray | None = field(default=None, compare=False, repr=False)

    @property
    def has_prompts(self) -> bool:
        """Whether there is any point, box, scribble or marked voxel of an initial mask."""
        points = self.foreground or self.background
        scribbles = len(self.scribbles.foreground) or len(self.scribbles.background)
        has_mask = self.initial_mask is not None and bool(self.initial_mask.any())
        return bool(points or scribbles) or self.box is not None or has_mask

    def on(self, target: Grid, source: Grid) -> "StudyPrompt":
        """Points and box at the same places in voxels of another grid.

        Args:
            target: the other grid.
            source: the grid of this prompt, which has no scribbles and no initial mask.
        """
        return StudyPrompt(
            move_voxels(self.foreground, target, source),
            move_voxels(self.background, target, source),
            None if self.box is None else _move_box(self.box, target, source),
        )


@dataclass(frozen=True, eq=False)
class SlicePrompt:
    """All prompts for one label on one slice.

    Attributes:
        foreground: points on the label.
        background: points outside the label.
        box: a box around the label.
        initial_mask: (256, 256) bool, the mask to refine: an earlier mask of this slice, or the
            mask of the neighbouring slice.
    """

    foreground: tuple[Point, ...] = ()
    background: tuple[Point, ...] = ()
    box: BoxPx | None = None
    initial_mask: BoolArray | None = field(default=None, repr=False)

    @property
    def locates_label(self) -> bool:
        """Whether a foreground point, a box or an initial mask says where the label is."""
        has_mask = self.initial_mask is not None and bool(self.initial_mask.any())
        return bool(self.foreground) or self.box is not None or has_mask

    @property
    def is_initial_mask_alone(self) -> bool:
        """Whether the initial mask is the only prompt."""
        has_mask = self.initial_mask is not None and bool(self.initial_mask.any())
        return has_mask and not (self.foreground or self.background or self.box)


def outside(voxels: Iterable[Voxel], grid: Grid) -> list[Voxel]:
    """The points that lie in no voxel of a grid."""
    last = np.array(grid.shape) - 0.5
    return [
        voxel
        for voxel in voxels
        if (np.array(voxel) < -0.5).any() or (np.array(voxel) > last).any()
    ]


def cut_box(box: tuple[Voxel, Voxel], grid: Grid) -> tuple[Voxel, Voxel] | None:
    """The part of a box that lies inside a grid; None if no voxel of the grid is inside the box.

    Args:
        box: two opposite corners, in voxels of the grid. Both corner voxels are inside.
        grid: the image.

    Returns:
        The box itself if it lies inside; else its lowest and highest corner, cut at the edge.
    """
    last = np.array(grid.shape) - 1.0
    low, high = np.min(box, axis=0), np.max(box, axis=0)
    if (high < -0.5).any() or (low >= last + 0.5).any():
        return None
    if (low >= 0).all() and (high <= last).all():
        return box
    return _voxel(np.clip(low, 0, last)), _voxel(np.clip(high, 0, last))


def move_voxels(voxels: tuple[Voxel, ...], target: Grid, source: Grid) -> tuple[Voxel, ...]:
    """Points of the source grid in voxels of the target grid."""
    points = np.array(voxels, np.float64).reshape(-1, 3)
    return tuple(map(_voxel, move_points(points, target, source)))


def move_points(
    points: npt.NDArray[np.number[Any]], target: Grid, source: Grid
) -> npt.NDArray[np.float64]:
    """(N, 3) voxels of the source grid -> (N, 3) float64 voxels of the target grid."""
    matrix = np.linalg.inv(target.affine_ras) @ source.affine_ras
    moved: npt.NDArray[np.float64] = points.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    return moved


def _move_box(box: tuple[Voxel, Voxel], target: Grid, source: Grid) -> tuple[Voxel, Voxel]:
    """The box whose outer faces enclose the outer faces of the source's box."""
    # A corner voxel is inside up to its outer faces, whichever way the grid's axes point.
    low, high = np.min(box, axis=0) - 0.5, np.max(box, axis=0) + 0.5
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
    moved = np.array(move_voxels(tuple(map(_voxel, corners)), target, source))
    first, last = moved.min(axis=0) + 0.5, moved.max(axis=0) - 0.5
    return _voxel(np.minimum(first, last)), _voxel(np.maximum(first, last))


def _voxel(values: npt.NDArray[np.float64]) -> Voxel:
    x, y, z = values.tolist()
    return x, y, z


def slice_prompts(prompt: StudyPrompt, frame: SliceFrame) -> dict[int, SlicePrompt]:
    """The prompts on each slice, in pixels.

    Args:
        prompt: in voxels of the frame's grid.
        frame: how slices lie in pictures.

    Returns:
        Slice index -> prompts, only for slices that have any.
    """
    foreground = _points(prompt.foreground, prompt.scribbles.foreground, frame)
    background = _points(prompt.background, prompt.scribbles.background, frame)
    boxes = {} if prompt.box is None else _boxes(prompt.box, frame)
    masks = {} if prompt.initial_mask is None else _masks(prompt.initial_mask, frame)
    return {
        s: SlicePrompt(
            foreground=tuple(foreground.get(s, ())),
            background=tuple(background.get(s, ())),
            box=boxes.get(s),
            initial_mask=masks.get(s),
        )
        for s in sorted({*foreground, *background, *boxes, *masks})
    }


def _points(
    clicks: tuple[Voxel, ...], scribble: npt.NDArray[np.float64], frame: SliceFrame
) -> dict[int, list[Point]]:
    """Slice index -> every click, and at most MAX_SCRIBBLE_POINTS voxels of the scribble.

    Several points in one voxel or in one pixel are one point, however often they were sent: each
    further point means that less of the object is guessed.
    """
    voxels = np.array(clicks, np.float64).reshape(-1, 3)
    clicked = _by_slice(_distinct(voxels), frame)
    drawn = _by_slice(scribble, frame)
    points = {}
    for s in {*clicked, *drawn}:
        pixels = drawn.get(s, np.empty((0, 2)))
        pixels = _distinct(pixels)
        count = min(MAX_SCRIBBLE_POINTS, len(pixels))
        chosen = np.linspace(0, len(pixels) - 1, count).round().astype(int)
        both = np.concatenate([pixels[chosen], clicked.get(s, np.empty((0, 2)))])
        points[s] = _as_points(_distinct(both))
    return points


def _distinct(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The last of all points whose rounded indices are equal, in the order of the points."""
    whole = np.floor(points + 0.5)[::-1]
    _, from_end = np.unique(whole, axis=0, return_index=True)
    last: npt.NDArray[np.float64] = points[np.sort(len(points) - 1 - from_end)]
    return last


def _by_slice(
    voxels: npt.NDArray[np.float64], frame: SliceFrame
) -> dict[int, npt.NDArray[np.float64]]:
    """Slice index -> (N, 2) rows and columns. Points beyond the outer face of an end slice drop."""
    placed = to_pixels(voxels, frame)
    slices = np.floor(placed[:, 0] + 0.5).astype(int)
    inside = (slices >= 0) & (slices < frame.grid.shape[2])
    return {int(s): placed[slices == s, 1:] for s in np.unique(slices[inside])}


def _as_points(pixels: npt.NDArray[np.float64]) -> list[Point]:
    return [(row, col) for row, col in pixels.tolist()]


def _boxes(box: tuple[Voxel, Voxel], frame: SliceFrame) -> dict[int, BoxPx]:
    """The box on each slice that it reaches into by half a voxel, cut at the image's edge."""
    inside = cut_box(box, frame.grid)
    if inside is None:
        return {}
    low, high = np.min(inside, axis=0), np.max(inside, axis=0)
    faces = np.array([[*(low[:2] - 0.5), 0], [*(high[:2] + 0.5), 0]])
    (_, bottom, right), (_, top, left) = (to_pixels(faces, frame) + 0.5).tolist()
    first, last = int(np.floor(low[2] + 0.5)), int(np.floor(high[2] + 0.5))
    slices = range(max(first, 0), min(last + 1, frame.grid.shape[2]))
    return dict.fromkeys(slices, (left, top, right, bottom))


def _masks(mask: BoolArray, frame: SliceFrame) -> dict[int, BoolArray]:
    """The (256, 256) mask of each slice that has a marked voxel."""
    slices = np.flatnonzero(mask.any(axis=(0, 1)))
    pictures = to_pictures(mask[:, :, slices], frame, nearest=True).astype(np.bool_)
    return dict(zip(slices.tolist(), pictures, strict=True))
