"""Slices lie a little otherwise each time they are learnt from: turned, scaled and shifted.

What frozen towers made of a slice is moved instead of the slice, for they are not asked twice. That
is an approximation, as towers see places too, and it costs next to nothing. Nothing is mirrored: a
left kidney is no right one.
"""

import math

import numpy as np
import torch
from torch.nn import functional as F

from zeus_app.protocols import LAID_OUT, Batch

TURN_RAD = 0.15
"""Largest turn either way, at strength 1."""
SCALE = 0.15
"""Largest change of size."""
SHIFT = 0.05
"""Largest shift along either axis, as a share of the picture's edge."""


def random_affine(
    batch: Batch, masks: torch.Tensor, *, strength: float, rng: np.random.Generator
) -> tuple[Batch, torch.Tensor]:
    """Move each slice of a batch, and its masks alike.

    Args:
        batch: what `LAID_OUT` names is (B, ..., H, W), of any resolution.
        masks: (B, K, 256, 256) bool.
        strength: times the largest movements; 0 moves nothing.
        rng: source of the movements.

    Returns:
        Both, moved; pictures as float32. Beyond a picture's edge its edge goes on, and no mask.
    """
    theta = _movements(len(masks), strength=strength, rng=rng).to(masks.device)
    pictures = {name: _moved(batch[name], theta, "border") for name in LAID_OUT if name in batch}
    return {**batch, **pictures}, _moved(masks, theta, "zeros") > 0.5


def _movements(count: int, *, strength: float, rng: np.random.Generator) -> torch.Tensor:
    """(count, 2, 3), from where a picture's point is taken, in [-1, 1] from edge to edge."""
    rows = []
    for turn, scale, *shift in strength * rng.uniform(-1, 1, size=(count, 4)):
        size, angle = 1 + SCALE * scale, TURN_RAD * turn
        across, along = size * math.cos(angle), size * math.sin(angle)
        x, y = (2 * SHIFT * one for one in shift)
        rows.append([[across, -along, x], [along, across, y]])
    return torch.tensor(rows, dtype=torch.float32)


def _moved(pictures: torch.Tensor, theta: torch.Tensor, padding: str) -> torch.Tensor:
    """(B, ..., H, W) -> the same shape, float32."""
    flat = pictures.flatten(1, -3).float()
    grid = F.affine_grid(theta, [*flat.shape], align_corners=False)
    moved = F.grid_sample(flat, grid, padding_mode=padding, align_corners=False)
    return moved.reshape(pictures.shape)
