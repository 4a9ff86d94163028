"""Random augmentation of training batches: slices moved, intensities changed, sequences hidden.

The approximation: embeddings are moved as if they were pictures, and encoders are not run again.
Slices are rotated, scaled and shifted. No mirroring, which would swap left and right organs.
Intensities change in pictures alone, because cached embeddings cannot follow them.
"""

import math

import numpy as np
import torch
from torch.nn import functional as F

from zeus_app.protocols import SPATIAL, Batch

LARGEST_ANGLE_RAD = 0.15
"""Largest rotation in either direction, at strength 1."""
LARGEST_SCALE = 0.15
"""Largest relative change of size, at strength 1."""
LARGEST_SHIFT = 0.05
"""Largest shift along each axis, as a share of the picture's edge, at strength 1."""
LARGEST_BRIGHTNESS = 0.1
"""Largest value that is added or subtracted, as a share of the window, at strength 1."""
LARGEST_CONTRAST = 0.25
"""Largest relative change of the distance from the mean, at strength 1."""
LARGEST_GAMMA = 1.5
"""Largest power of the values, at strength 1; the smallest is its reciprocal."""


def random_affine(
    batch: Batch, masks: torch.Tensor, *, strength: float, rng: np.random.Generator
) -> tuple[Batch, torch.Tensor]:
    """Move each slice of a batch and its masks by one random affine transform.

    Args:
        batch: the tensors that `SPATIAL` names are (B, ..., H, W), of any resolution.
        masks: (B, K, 256, 256) bool.
        strength: factor on the largest rotation, scale and shift. 0 moves nothing.
        rng: random generator of the transforms.

    Returns:
        The moved batch, its spatial tensors float32, and the moved masks, bool. Beyond the edge,
        pictures repeat their edge and masks are empty.
    """
    theta = _random_transforms(len(masks), strength=strength, rng=rng).to(masks.device)
    moved = {name: _resample(batch[name], theta, "border") for name in SPATIAL if name in batch}
    return {**batch, **moved}, _resample(masks, theta, "zeros") > 0.5


def random_intensity(batch: Batch, *, strength: float, rng: np.random.Generator) -> Batch:
    """Give each picture of a batch a random gamma, contrast and brightness, in this order.

    Args:
        batch: its "pixels", if it has any, are (B, C, H, W) or, with neighbouring slices,
            (B, C, N, H, W) in [0, 1], 0 in the background. Neighbours change alike.
        strength: factor on the largest changes. 0 changes nothing.
        rng: random generator of the changes. Each picture draws its own.

    Returns:
        The batch with float32 "pixels" in [0, 1]; the background stays 0. A batch without "pixels"
        comes back unchanged.
    """
    if "pixels" not in batch:
        return batch
    pixels = batch["pixels"].float().clamp(min=0)
    changes = strength * rng.uniform(-1, 1, size=(*pixels.shape[:2], 3))
    drawn = torch.tensor(changes, dtype=torch.float32, device=pixels.device)
    within = tuple(range(2, pixels.ndim))
    ones = [1] * len(within)
    brightness, contrast, gamma = (change.view(*change.shape, *ones) for change in drawn.unbind(2))
    tissue = pixels > 0
    values = pixels ** (LARGEST_GAMMA**gamma)
    mean = values.sum(within, keepdim=True) / tissue.sum(within, keepdim=True).clamp(min=1)
    values = mean + (1 + LARGEST_CONTRAST * contrast) * (values - mean)
    values = (values + LARGEST_BRIGHTNESS * brightness).clamp(0, 1)
    return {**batch, "pixels": values * tissue}


def hide_embeddings(batch: Batch, *, share: float, rng: np.random.Generator) -> Batch:
    """Hide the embeddings of some slices, so that a model must read them from their pixels.

    Args:
        batch: unchanged unless it has both "embeddings", (B, ...), and "pixels".
        share: share of the slices.
        rng: random generator of the choice.

    Returns:
        The batch; hidden embeddings are zeros.
    """
    if "pixels" not in batch or "embeddings" not in batch:
        return batch
    embeddings = batch["embeddings"].clone()
    hidden = rng.random(len(embeddings)) < share
    embeddings[torch.from_numpy(hidden).to(embeddings.device)] = 0
    return {**batch, "embeddings": embeddings}


def drop_sequences(batch: Batch, *, share: float, rng: np.random.Generator) -> Batch:
    """Hide sequences of some slices, so that a model learns to do without any of them.

    Args:
        batch: its "present" is (B, M) bool.
        share: share of the slices with several sequences that lose some. Half of these keep one
            sequence, half a random number of them.
        rng: random generator of the choice.

    Returns:
        The batch with another "present". Each slice keeps at least one of its sequences.
    """
    present = batch["present"].clone()
    for row in present:
        shown = row.nonzero()[:, 0].cpu().numpy()
        if len(shown) < 2 or rng.random() >= share:
            continue
        count = 1 if rng.random() < 0.5 else int(rng.integers(1, len(shown)))
        hidden = rng.permutation(shown)[count:]
        row[torch.from_numpy(hidden).to(row.device)] = False
    return {**batch, "present": present}


def _random_transforms(count: int, *, strength: float, rng: np.random.Generator) -> torch.Tensor:
    """(count, 2, 3) float32 for `affine_grid`: output point -> input point, both in [-1, 1]."""
    rows = []
    for angle, scale, *shift in strength * rng.uniform(-1, 1, size=(count, 4)):
        size, angle_rad = 1 + LARGEST_SCALE * scale, LARGEST_ANGLE_RAD * angle
        cosine, sine = size * math.cos(angle_rad), size * math.sin(angle_rad)
        x, y = (2 * LARGEST_SHIFT * axis for axis in shift)
        rows.append([[cosine, -sine, x], [sine, cosine, y]])
    return torch.tensor(rows, dtype=torch.float32)


def _resample(pictures: torch.Tensor, theta: torch.Tensor, padding: str) -> torch.Tensor:
    """(B, ..., H, W) -> the same shape, float32."""
    flat = pictures.flatten(1, -3).float()
    grid = F.affine_grid(theta, [*flat.shape], align_corners=False)
    moved = F.grid_sample(flat, grid, padding_mode=padding, align_corners=False)
    return moved.reshape(pictures.shape)
