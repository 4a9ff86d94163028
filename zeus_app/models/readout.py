"""The read-out: a small convolutional decoder of compressed embeddings. It is not the paper's.

SAM's mask decoder reads one whole embedding of 256 channels. The read-out reads a few channels of a
slice and of its two neighbours, and the pixels of all three. As in SAM, a vector made from each
label's instruction weighs the last features. So the text alone decides which label is shown, and
the number of labels has no limit.
"""

import hashlib
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from zeus_app.types import EMBEDDING_CELLS, EMBEDDING_CHANNELS, PICTURE_PX, FloatArray

NEIGHBOURS = (-1, 0, 1)
"""Slices that the read-out sees, as offsets. At the ends of a study the last slice repeats."""
CHANNELS = 48
"""Channels of a compressed embedding: 0.375 MiB in float16, where a whole one has 2 MiB."""
WIDTH, FINE, PIXELS = 64, 32, 16
"""Channels of the features: at 64×64 cells, at 128×128 cells, and those made from pixels."""
DILATIONS = (1, 2, 4)
GROUPS = 8
DROPPED = 0.1
"""Share of the compressed channels that a training step hides."""
INITIAL_LOGIT = -2.0
"""Logit of every label at the start of a training: most pixels show no label."""


class Compression(nn.Module):
    """Principal components of embeddings, measured on the training studies.

    Args:
        channels: components that are kept.
    """

    mean: torch.Tensor
    basis: torch.Tensor

    def __init__(self, channels: int = CHANNELS) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(EMBEDDING_CHANNELS))
        self.register_buffer("basis", torch.eye(channels, EMBEDDING_CHANNELS))

    @property
    def id(self) -> str:
        """Hash of mean and basis; part of cache keys."""
        digest = hashlib.blake2b(digest_size=8)
        for tensor in (self.mean, self.basis):
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def fit(self, cells: torch.Tensor) -> None:
        """Measure mean and components.

        Args:
            cells: (N, 256) float32, cells of embeddings of the training studies.
        """
        mean = cells.mean(dim=0)
        centred = cells - mean
        variances, vectors = torch.linalg.eigh(centred.T @ centred / len(cells))
        largest = vectors.flip(1)[:, : len(self.basis)]  # eigh sorts upwards
        # The sign of a component is arbitrary; a fixed one makes trainings repeatable.
        signs = torch.sign(largest.gather(0, largest.abs().argmax(dim=0, keepdim=True)))
        scale = 2 / variances[-1].clamp(min=1e-12).sqrt()
        self.mean.copy_(mean)
        self.basis.copy_((largest * signs).T * scale)

    @torch.no_grad()
    def compress(self, embedding: FloatArray) -> FloatArray:
        """(256, 64, 64) float16 -> (C, 64, 64) float16."""
        cells = torch.from_numpy(embedding).to(self.mean).flatten(1)
        compressed = self.basis @ (cells - self.mean[:, None])
        array: FloatArray = compressed.to(torch.float16).cpu().numpy()
        return array.reshape(-1, EMBEDDING_CELLS, EMBEDDING_CELLS)


class ReadOut(nn.Module):
    """Logits of K labels from the compressed embeddings and pixels of one or more sequences.

    Each sequence has a first layer of its own. What follows sees the mean of the sequences' first
    features, so it does not depend on how many sequences there are, or which one is missing.

    Args:
        sequences: number of sequences with a first layer.
        channels: C, of a compressed embedding.
    """

    def __init__(self, sequences: int, channels: int = CHANNELS) -> None:
        super().__init__()
        slices = len(NEIGHBOURS)
        self.first = nn.ModuleList(nn.Conv2d(slices * channels, WIDTH, 1) for _ in range(sequences))
        self.first_pixels = nn.ModuleList(
            nn.Conv2d(slices * 4, PIXELS, 3, padding=1) for _ in range(sequences)
        )
        self.first_norm = nn.GroupNorm(GROUPS, WIDTH)
        self.middle = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(WIDTH, WIDTH, 3, padding=d, dilation=d),
                nn.GroupNorm(GROUPS, WIDTH),
                nn.ReLU(),
            )
            for d in DILATIONS
        )
        self.upsample = nn.Conv2d(WIDTH, 4 * FINE, 1)
        self.fine = nn.Sequential(
            nn.Conv2d(FINE + PIXELS, FINE, 3, padding=1), nn.GroupNorm(GROUPS, FINE), nn.ReLU()
        )
        # For each label: FINE weights for each of a cell's 2×2 pixels, and one offset.
        self.hypernetwork = nn.Sequential(
            nn.Linear(EMBEDDING_CHANNELS, 128), nn.GELU(), nn.Linear(128, 4 * FINE + 1)
        )

    def read(
        self, sequence: int, embeddings: torch.Tensor, pixels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The first features of one sequence.

        Args:
            sequence: index of its first layer.
            embeddings: (B, 3·C, 64, 64).
            pixels: (B, 3, 256, 256).

        Returns:
            (B, WIDTH, 64, 64) and (B, PIXELS, 128, 128).
        """
        embeddings = F.dropout2d(embeddings.float(), DROPPED, self.training)
        nested = F.pixel_unshuffle(pixels.float(), PICTURE_PX // 128)
        return self.first[sequence](embeddings), self.first_pixels[sequence](nested)

    def decode(
        self, cells: torch.Tensor, pixels: torch.Tensor, instructions: torch.Tensor
    ) -> torch.Tensor:
        """Decode first features, of one sequence or the mean of several.

        Args:
            cells: (B, WIDTH, 64, 64).
            pixels: (B, PIXELS, 128, 128).
            instructions: (B, K, 256) aligned instructions.

        Returns:
            (B, K, 256, 256) float32 logits.
        """
        features = F.relu(self.first_norm(cells))
        for layer in self.middle:
            features = features + layer(features)
        upper = F.pixel_shuffle(self.upsample(features), 2)
        fine = self.fine(F.relu(torch.cat([upper, pixels], dim=1)))
        weights = self.hypernetwork(instructions).float()  # (B, K, 4·FINE + 1)
        batch, labels, _ = weights.shape
        by_pixel = weights[..., :-1].reshape(batch, 4 * labels, FINE)
        with torch.autocast(fine.device.type, enabled=False):
            masks = by_pixel @ fine.float().flatten(2)
        masks = F.pixel_shuffle(masks.reshape(batch, 4 * labels, *fine.shape[2:]), 2)
        logits: torch.Tensor = masks + weights[..., -1, None, None] + INITIAL_LOGIT
        return logits


def mean_of_present(features: Sequence[torch.Tensor], present: torch.Tensor) -> torch.Tensor:
    """Join the first features of M sequences.

    The sum is divided by the square root of the number of present sequences, which keeps the
    variance of independent features.

    Args:
        features: M tensors of (B, C, H, W).
        present: (B, M) bool.
    """
    shown = present.to(features[0].dtype)
    scale = shown.sum(dim=1).clamp(min=1).rsqrt()
    weights = (shown * scale[:, None]).unbind(dim=1)
    pairs = zip(features, weights, strict=True)
    return torch.stack([f * w[:, None, None, None] for f, w in pairs]).sum(dim=0)
