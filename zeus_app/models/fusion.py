"""Fusion: the masks of the sequences become one. Pure functions for training and inference."""

from collections.abc import Callable, Mapping

import torch

from zeus_app.settings.registry import lookup

Unite = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def unite_max(probabilities: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """The paper's union: a voxel belongs to the label if any sequence shows it."""
    return probabilities.masked_fill(~present, 0).amax(dim=1)


def unite_mean(probabilities: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """The mean probability of the sequences that are present."""
    return probabilities.masked_fill(~present, 0).sum(dim=1) / present.sum(dim=1).clamp(min=1)


def unite_vote(probabilities: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """The share of the present sequences with a probability above 0.5."""
    return unite_mean((probabilities > 0.5).to(probabilities.dtype), present)


UNIONS: Mapping[str, Unite] = {"max": unite_max, "mean": unite_mean, "vote": unite_vote}


def unite(logits: torch.Tensor, present: torch.Tensor, *, union: str = "max") -> torch.Tensor:
    """Unite the logits of all sequences into one probability per label.

    Args:
        logits: (B, M, K, H, W), any floating dtype.
        present: (B, M) bool; absent sequences are ignored.
        union: "max", "mean" or "vote".

    Returns:
        (B, K, H, W) in [0, 1]; 0 if no sequence is present.

    Raises:
        UnknownNameError: no such union.
    """
    mask = present[:, :, None, None, None]
    return lookup("union", union, UNIONS)(torch.sigmoid(logits), mask)


def label_indices(probabilities: torch.Tensor, *, threshold: float = 0.5) -> torch.Tensor:
    """The label of each voxel: the most probable one above the threshold.

    Args:
        probabilities: (K, ...) in [0, 1].
        threshold: a label at or below it is not given.

    Returns:
        (...) uint8: 0 for the background, k + 1 for the label of channel k. Of equal probabilities,
        the first label wins.
    """
    best, channel = probabilities.max(dim=0)
    return torch.where(best > threshold, channel + 1, 0).to(torch.uint8)


def fused_logits(
    logits: torch.Tensor, present: torch.Tensor, *, union: str = "max"
) -> torch.Tensor:
    """Logits of the union for a loss: differentiable, and exact for max and mean.

    A vote has no gradient, so the mean replaces it in training.

    Args:
        logits: (B, M, K, H, W).
        present: (B, M) bool.
        union: "max", "mean" or "vote".

    Returns:
        (B, K, H, W) float32.
    """
    if union == "max":  # the sigmoid is monotonic: the largest logit has the largest probability
        absent = ~present[:, :, None, None, None]
        return logits.float().masked_fill(absent, -1e4).amax(dim=1)
    probabilities = unite(logits.float(), present, union="mean")
    return torch.logit(probabilities, eps=1e-6)
