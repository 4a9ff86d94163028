"""What a user points at: on one slice in pixels, in a study in voxels."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from zeus_app.studies.slices import to_pictures, to_pixels
from zeus_app.types import BoolArray, Grid, SliceFrame

Point = tuple[float, float]
"""(row, column) in px; whole numbers are pixel centres."""

BoxPx = tuple[float, float, float, float]
"""(left, top, right, bottom) in px, outer faces: a box of one pixel is one wide."""


@dataclass(frozen=True, eq=False)
class SlicePrompt:
    """Everything said about one label on one slice.

    Attributes:
        foreground, background: clicks on it, and beside it.
        box: drawn around it.
        prior: (256, 256) bool, a mask to start from: the neighbouring slice's, or an
            earlier answer.
    """

    foreground: tuple[Point, ...] = ()
    background: tuple[Point, ...] = ()
    box: BoxPx | None = None
    prior: BoolArray | None = field(default=None, repr=False)

    @property
    def is_empty(self) -> bool:
        """Whether nothing says where the label is; clicks beside it do not."""
        has_prior = self.prior is not None and bool(self.prior.any())
        return not (self.foreground or self.box or has_prior)

    @property
    def is_prior_alone(self) -> bool:
        """Whether there is a mask to start from, and not a word about it."""
        return not (self.foreground or self.background or self.box or self.is_empty)


Voxel = tuple[float, float, float]
"""(i, j, k) on a grid; whole numbers are voxel centres."""


@dataclass(frozen=True)
class Clicks:
    """What a user said about one label of a study, in voxels of one grid.

    Attributes:
        foreground, background: clicks on it, and beside it.
        box: two opposite corner voxels, in any order; both are inside.
    """

    foreground: tuple[Voxel, ...] = ()
    background: tuple[Voxel, ...] = ()
    box: tuple[Voxel, Voxel] | None = None

    def outside(self, grid: Grid) -> tuple[Voxel, ...]:
        """The clicks that lie in no voxel of a grid."""
        last = np.array(grid.shape) - 0.5
        return tuple(
            voxel
            for voxel in (*self.foreground, *self.background)
            if (np.array(voxel) < -0.5).any() or (np.array(voxel) > last).any()
        )

    def on(self, target: Grid, source: Grid) -> "Clicks":
        """The same places in voxels of another grid."""
        matrix = np.linalg.inv(target.affine_ras) @ source.affine_ras

        def there(voxels: tuple[Voxel, ...]) -> tuple[Voxel, ...]:
            places = np.array(voxels, np.float64).reshape(-1, 3) @ matrix[:3, :3].T
            return tuple(map(_voxel, places + matrix[:3, 3]))

        box = None
        if self.box is not None:
            # A corner voxel is inside up to its outer faces, whichever way its axes are turned.
            low, high = np.min(self.box, axis=0) - 0.5, np.max(self.box, axis=0) + 0.5
            corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
            turned = np.array(there(tuple(map(_voxel, corners))))
            first, last = turned.min(axis=0) + 0.5, turned.max(axis=0) - 0.5
            box = (_voxel(np.minimum(first, last)), _voxel(np.maximum(first, last)))
        return Clicks(there(self.foreground), there(self.background), box)


def _voxel(values: npt.NDArray[np.float64]) -> Voxel:
    x, y, z = values.tolist()
    return x, y, z


@dataclass(frozen=True, eq=False)
class StudyPrompt:
    """All about one label, on the canonical grid of a study.

    Attributes:
        clicks: in voxels of that grid.
        scribbles: voxels that were scribbled on, and beside it; clicks, but many.
        prior: bool (X, Y, S), a mask to start from; or None.
    """

    clicks: Clicks = field(default_factory=Clicks)
    scribbles: Clicks = field(default_factory=Clicks)
    prior: BoolArray | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all was said."""
        said = (self.clicks, self.scribbles)
        clicked = any(one.foreground or one.background or one.box for one in said)
        return not (clicked or (self.prior is not None and self.prior.any()))


SCRIBBLE_POINTS = 32
"""Most points of one scribble on one slice; they are taken evenly along it."""


def by_slice(pointing: StudyPrompt, frame: SliceFrame) -> dict[int, SlicePrompt]:
    """What was said about each slice, in pixels; slices of which nothing was said are left out."""
    clicks = pointing.clicks
    on = _points(clicks.foreground, pointing.scribbles.foreground, frame)
    beside = _points(clicks.background, pointing.scribbles.background, frame)
    boxed = _boxes(clicks.box, frame) if clicks.box else {}
    prior = pointing.prior
    shown = [] if prior is None else [int(s) for s in np.flatnonzero(prior.any(axis=(0, 1)))]
    return {
        s: SlicePrompt(
            foreground=tuple(on.get(s, ())),
            background=tuple(beside.get(s, ())),
            box=boxed.get(s),
            prior=_picture(prior, s, frame) if prior is not None and s in shown else None,
        )
        for s in sorted({*on, *beside, *boxed, *shown})
    }


def _points(
    clicks: tuple[Voxel, ...], scribbled: tuple[Voxel, ...], frame: SliceFrame
) -> dict[int, list[Point]]:
    """Slice -> every click, and few of the voxels that were scribbled on."""
    found = _in_slices(clicks, frame)
    for s, points in _in_slices(scribbled, frame).items():
        chosen = np.linspace(0, len(points) - 1, min(SCRIBBLE_POINTS, len(points))).round()
        found.setdefault(s, []).extend(points[int(i)] for i in chosen)
    return found


def _in_slices(voxels: tuple[Voxel, ...], frame: SliceFrame) -> dict[int, list[Point]]:
    """Slice -> points; what lies beyond the first or last slice's face is left out."""
    found: dict[int, list[Point]] = {}
    if voxels:
        for s, row, col in to_pixels(np.array(voxels, np.float64), frame).tolist():
            slice_index = int(np.floor(s + 0.5))
            if 0 <= slice_index < frame.grid.shape[2]:
                found.setdefault(slice_index, []).append((row, col))
    return found


def _boxes(box: tuple[Voxel, Voxel], frame: SliceFrame) -> dict[int, BoxPx]:
    """The box on each slice that it reaches into by half a voxel."""
    low, high = np.min(box, axis=0), np.max(box, axis=0)
    faces = np.array([[*(low[:2] - 0.5), 0], [*(high[:2] + 0.5), 0]])
    (_, bottom, right), (_, top, left) = (to_pixels(faces, frame) + 0.5).tolist()
    first, last = int(np.floor(low[2] + 0.5)), int(np.floor(high[2] + 0.5))
    reached = range(max(first, 0), min(last + 1, frame.grid.shape[2]))
    return dict.fromkeys(reached, (left, top, right, bottom))


def _picture(prior: BoolArray, s: int, frame: SliceFrame) -> BoolArray:
    shown = to_pictures(prior[:, :, s : s + 1], frame, nearest=True)[0]
    picture: BoolArray = shown.astype(np.bool_)
    return picture
