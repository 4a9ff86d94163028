"""Image regions that are similar to the clicked places, from a slice's image embeddings.

The decoders of the MedSAM family were trained with boxes alone. They answer a bare point with
almost nothing (measured in docs/interactive.md). So a click is first turned into a region, and the
region's bounding box goes to the decoder.

After the mean of all cells is subtracted, embedding cells of the same tissue point in the same
direction. The cosine with the clicked cells is the similarity.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F

from zeus_app.prompts.types import BoxPx, Point, SlicePrompt
from zeus_app.types import EMBEDDING_CELLS, PICTURE_PX, BoolArray, FloatArray

CELL_PX = PICTURE_PX // EMBEDDING_CELLS
"""Edge of an embedding cell, in px of the picture."""
MIN_COSINE = 0.3
"""Least cosine with a clicked cell for a cell to show the same object."""
COSINE_STEP = 0.03
"""Each further click raises the least cosine by this: more clicks need less guessing."""
MAX_COSINE_THRESHOLD = 0.45
"""The least cosine does not rise above this."""
COSINE_PER_PX = 0.03
"""Cosine that one px of distance costs where foreground and background clicks compete."""
CLICK_RADIUS_PX = 2.0
"""Within this distance of a click the click decides, whatever the decoder says."""


@dataclass(frozen=True, eq=False)
class SimilarRegion:
    """Where a slice is similar to the prompted places.

    Attributes:
        region: (256, 256) bool, the connected parts that contain a foreground click.
        preferred: (256, 256) bool, pixels more similar to the label than to the background; all
            pixels if there is no background click.
    """

    region: BoolArray
    preferred: BoolArray


def similar_region(embeddings: torch.Tensor, prompt: SlicePrompt) -> SimilarRegion:
    """Find the region that is similar to the foreground clicks and the initial mask.

    Cosines are averaged over the sequences: a region that is similar in one sequence alone is
    rarely one object.

    Args:
        embeddings: (M, 256, 64, 64), one slice in M sequences.
        prompt: with at least a foreground click or an initial mask.
    """
    foreground, background, mask = prompt.foreground, prompt.background, prompt.initial_mask
    cells_by_sequence = [directions(embedding) for embedding in embeddings]
    label_cosine = np.mean(
        [_cosine(cells, _label_seeds(cells, foreground, mask)) for cells in cells_by_sequence],
        axis=0,
    )
    preferred = np.ones((PICTURE_PX, PICTURE_PX), np.bool_)
    if background:
        background_cosine = np.mean(
            [_cosine(cells, _cells_at(cells, background)) for cells in cells_by_sequence], axis=0
        )
        preferred = label_cosine - COSINE_PER_PX * _distance_px(
            foreground, mask
        ) > background_cosine - COSINE_PER_PX * _distance_px(background)
    further_clicks = max(0, len(foreground) + len(background) - 1)
    threshold = min(MAX_COSINE_THRESHOLD, MIN_COSINE + COSINE_STEP * further_clicks)
    clicked = _parts_with((label_cosine > threshold) & preferred, foreground)
    return SimilarRegion(clicked | near(foreground), preferred)


def prototype(embeddings: torch.Tensor, mask: BoolArray) -> torch.Tensor:
    """The mean appearance of the area under a mask, in each sequence.

    Args:
        embeddings: (M, 256, 64, 64).
        mask: (256, 256) bool.

    Returns:
        (M, 256) unit vectors; zeros where all cells are equal.
    """
    return torch.stack([_mean_direction(directions(one), mask) for one in embeddings])


def directions(embedding: torch.Tensor) -> torch.Tensor:
    """(256, 64, 64) -> (256, 64, 64): each cell less the mean of all cells, as a unit vector."""
    centred = embedding.float() - embedding.float().mean(dim=(1, 2), keepdim=True)
    return F.normalize(centred, dim=0)


def part_boxes(region: BoolArray) -> list[BoxPx]:
    """The bounding box (outer faces) of each connected part of a region, the largest part first."""
    parts, count = ndimage.label(region)
    sizes = ndimage.sum_labels(region, parts, range(1, count + 1))
    bounds = ndimage.find_objects(parts)
    order = np.argsort(sizes)[::-1]
    return [
        (float(bounds[i][1].start), float(bounds[i][0].start),
         float(bounds[i][1].stop), float(bounds[i][0].stop))
        for i in order
    ]  # fmt: skip


def near(points: tuple[Point, ...], radius_px: float = CLICK_RADIUS_PX) -> BoolArray:
    """(256, 256) bool: the pixels within a radius of any point."""
    if not points:
        return np.zeros((PICTURE_PX, PICTURE_PX), np.bool_)
    close: BoolArray = _distance_px(points) <= radius_px
    return close


def _parts_with(region: BoolArray, points: tuple[Point, ...]) -> BoolArray:
    """The connected parts of a region that contain a point."""
    parts, _ = ndimage.label(region)
    numbers = {int(parts[_pixel(point)]) for point in points}
    chosen: BoolArray = np.isin(parts, sorted(numbers - {0}))
    return chosen


def _label_seeds(
    cells: torch.Tensor, points: tuple[Point, ...], mask: BoolArray | None
) -> list[torch.Tensor]:
    """Directions of the label: one for each clicked cell, and the mean under the mask."""
    seeds = _cells_at(cells, points)
    if mask is not None and mask.any():
        seeds.append(_mean_direction(cells, mask))
    return seeds


def _cells_at(cells: torch.Tensor, points: tuple[Point, ...]) -> list[torch.Tensor]:
    """The (256,) vector of the cell under each point."""
    pixels = map(_pixel, points)
    return [cells[:, row // CELL_PX, col // CELL_PX] for row, col in pixels]


def _cosine(cells: torch.Tensor, seeds: Sequence[torch.Tensor]) -> FloatArray:
    """(256, 256) float32: the largest cosine with any seed, linear between cells; -1 if none."""
    if not seeds:
        return np.full((PICTURE_PX, PICTURE_PX), -1, np.float32)
    cosines = torch.einsum("nc,chw->nhw", torch.stack(list(seeds)), cells).amax(dim=0)
    size = (PICTURE_PX, PICTURE_PX)
    pixels = F.interpolate(cosines[None, None], size=size, mode="bilinear", align_corners=False)
    cosine: FloatArray = pixels[0, 0].cpu().numpy()
    return cosine


def _pixel(point: Point) -> tuple[int, int]:
    """The pixel that contains a point; for a point beyond the picture, the nearest pixel."""
    row, col = (min(max(int(np.floor(value + 0.5)), 0), PICTURE_PX - 1) for value in point)
    return row, col


def _mean_direction(cells: torch.Tensor, mask: BoolArray) -> torch.Tensor:
    """The mean direction under a mask; each cell weighs as much as the mask covers of it."""
    shares = F.avg_pool2d(torch.from_numpy(mask.astype(np.float32))[None], CELL_PX)[0]
    return F.normalize((cells * shares.to(cells.device)).sum(dim=(1, 2)), dim=0)


def _distance_px(points: tuple[Point, ...], mask: BoolArray | None = None) -> FloatArray:
    """(256, 256) px to the nearest point or mask pixel; 512 px if there is neither."""
    rows, cols = np.mgrid[:PICTURE_PX, :PICTURE_PX].astype(np.float32)
    nearest = np.full((PICTURE_PX, PICTURE_PX), 2.0 * PICTURE_PX, np.float32)
    for row, col in points:
        np.minimum(nearest, np.hypot(rows - row, cols - col), out=nearest)
    if mask is not None and mask.any():
        to_mask = ndimage.distance_transform_edt(~mask)
        np.minimum(nearest, to_mask.astype(np.float32), out=nearest)
    return nearest
