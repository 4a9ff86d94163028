"""From clicks to boxes: what in a picture is like the places that were clicked.

The decoders of the MedSAM family learnt from boxes alone, and answer a bare point with next to
nothing (docs/interactive.md has the measurement). An image embedding knows more of a click than its
place: cells of the same tissue point in the same direction once what all cells share is taken away.
"""

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F

from zeus_app.prompts.types import BoxPx, Point, SlicePrompt
from zeus_app.types import BoolArray, FloatArray

PICTURE_PX = 256
GRID = 64
CELL_PX = PICTURE_PX // GRID
LIKE = 0.3
"""Least cosine of a cell with a clicked one for both to be the same thing."""
STRICTER = 0.03
"""What each further click adds to it: the more is said, the less must be guessed from likeness."""
STRICTEST = 0.45
"""Beyond this it does not rise."""
NEARNESS = 0.03
"""Cosine that a pixel's distance costs, where a click on the label and one beside it compete."""
SURE_PX = 2.0
"""Around a click its word counts, whatever the decoder says."""


def directions(embedding: torch.Tensor) -> torch.Tensor:
    """(256, 64, 64) -> (256, 64, 64) unit vectors of what sets each cell apart from the mean."""
    apart = embedding.float() - embedding.float().mean(dim=(1, 2), keepdim=True)
    return F.normalize(apart, dim=0)


class Similarity:
    """How like the label, and how like what is beside it, each pixel of one slice is.

    In the mean of its sequences: what looks alike in one of them alone is rarely one thing.

    Args:
        embeddings: (M, 256, 64, 64), the slice's in M sequences.
        pointing: with at least a foreground click or a prior.
    """

    def __init__(self, embeddings: torch.Tensor, pointing: SlicePrompt) -> None:
        self.pointing = pointing
        views = [directions(embedding) for embedding in embeddings]
        self._like = np.mean([_cosine(cells, _seeds(cells, pointing)) for cells in views], axis=0)
        beside = [[_cell(cells, point) for point in pointing.background] for cells in views]
        self._unlike = np.mean(list(map(_cosine, views, beside)), axis=0)

    def region(self) -> BoolArray:
        """(256, 256) bool: the connected parts like the label that were clicked."""
        further = max(0, len(self.pointing.foreground) + len(self.pointing.background) - 1)
        alike = (self._like > min(STRICTEST, LIKE + STRICTER * further)) & self.preferred()
        parts, _ = ndimage.label(alike)
        wanted = {int(parts[pixel]) for pixel in map(_pixel, self.pointing.foreground)}
        region: BoolArray = np.isin(parts, sorted(wanted - {0}))
        return region | near(self.pointing.foreground)

    def preferred(self) -> BoolArray:
        """(256, 256) bool: where a click on the label says more than one beside it."""
        if not self.pointing.background:
            return np.ones((PICTURE_PX, PICTURE_PX), np.bool_)
        on = self._like - NEARNESS * _distance(self.pointing.foreground, self.pointing.prior)
        beside = self._unlike - NEARNESS * _distance(self.pointing.background, None)
        preferred: BoolArray = on > beside
        return preferred


def look(embeddings: torch.Tensor, mask: BoolArray) -> torch.Tensor:
    """What a mask covers looks like this: (M, 256, 64, 64) -> (M, 256), unit vectors."""
    return torch.stack([_mean_direction(directions(one), mask) for one in embeddings])


def boxes(region: BoolArray) -> list[BoxPx]:
    """The outer faces of each connected part of a region, the largest part first."""
    parts, count = ndimage.label(region)
    sizes = ndimage.sum_labels(region, parts, range(1, count + 1))
    found = ndimage.find_objects(parts)
    order = np.argsort(sizes)[::-1]
    return [
        (float(found[i][1].start), float(found[i][0].start),
         float(found[i][1].stop), float(found[i][0].stop))
        for i in order
    ]  # fmt: skip


def near(points: tuple[Point, ...], reach_px: float = SURE_PX) -> BoolArray:
    """(256, 256) bool: within reach of a point."""
    if not points:
        return np.zeros((PICTURE_PX, PICTURE_PX), np.bool_)
    close: BoolArray = _distance(points, None) <= reach_px
    return close


def _seeds(cells: torch.Tensor, pointing: SlicePrompt) -> list[torch.Tensor]:
    """The directions of the label: of each clicked cell, and the mean of a mask's."""
    seeds = [_cell(cells, point) for point in pointing.foreground]
    if pointing.prior is not None and pointing.prior.any():
        seeds.append(_mean_direction(cells, pointing.prior))
    return seeds


def _cosine(cells: torch.Tensor, seeds: list[torch.Tensor]) -> FloatArray:
    """(256, 256) float32: the largest cosine with any seed, linear between cells."""
    if not seeds:
        return np.full((PICTURE_PX, PICTURE_PX), -1, np.float32)
    cosines = torch.einsum("nc,chw->nhw", torch.stack(seeds), cells).amax(dim=0)
    size = (PICTURE_PX, PICTURE_PX)
    pixels = F.interpolate(cosines[None, None], size=size, mode="bilinear", align_corners=False)
    found: FloatArray = pixels[0, 0].cpu().numpy()
    return found


def _cell(cells: torch.Tensor, point: Point) -> torch.Tensor:
    row, col = _pixel(point)
    return cells[:, row // CELL_PX, col // CELL_PX]


def _pixel(point: Point) -> tuple[int, int]:
    """The pixel that holds a point; points beyond the picture's edge are of the edge's pixel."""
    row, col = (min(max(int(np.floor(value + 0.5)), 0), PICTURE_PX - 1) for value in point)
    return row, col


def _mean_direction(cells: torch.Tensor, prior: BoolArray) -> torch.Tensor:
    """The direction of what a mask covers, each cell counted by how much of it is covered."""
    shares = F.avg_pool2d(torch.from_numpy(prior.astype(np.float32))[None], CELL_PX)[0]
    return F.normalize((cells * shares.to(cells.device)).sum(dim=(1, 2)), dim=0)


def _distance(points: tuple[Point, ...], mask: BoolArray | None) -> FloatArray:
    """(256, 256) px to the nearest point, or to the mask; without either, beyond everything."""
    rows, cols = np.mgrid[:PICTURE_PX, :PICTURE_PX].astype(np.float32)
    nearest = np.full((PICTURE_PX, PICTURE_PX), 2.0 * PICTURE_PX, np.float32)
    for row, col in points:
        np.minimum(nearest, np.hypot(rows - row, cols - col), out=nearest)
    if mask is not None and mask.any():
        away = ndimage.distance_transform_edt(~mask)
        np.minimum(nearest, away.astype(np.float32), out=nearest)
    return nearest
