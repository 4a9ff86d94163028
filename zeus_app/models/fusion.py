"""Fusion: the logits of the sequences become those of their union, for training and inference."""

from collections.abc import Callable, Mapping

import torch
from torch import nn

from zeus_app.settings.registry import lookup

NOTHING = -1e4
"""Logit of a union without any present sequence: probability 0."""
TINY = 1e-6

Unite = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def unite_max(logits: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """The paper's union: a voxel belongs to the label if any sequence shows it.

    The sigmoid is monotonic: the largest logit has the largest probability.
    """
    return logits.masked_fill(~present, NOTHING).amax(dim=1)


def unite_mean(logits: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """The mean probability of the sequences that are present."""
    return _logits(_share(torch.sigmoid(logits), present), present)


def unite_vote(logits: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """The share of the present sequences with a probability above 0.5. It has no gradient."""
    return _logits(_share((logits > 0).to(logits.dtype), present), present)


UNIONS: Mapping[str, Unite] = {"max": unite_max, "mean": unite_mean, "vote": unite_vote}


class PlainUnion(nn.Module):
    """A union without weights.

    Args:
        name: "max", "mean" or "vote". In training mode the mean replaces the vote, which has no
            gradient.

    Raises:
        UnknownNameError: no such union.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._unite = lookup("union", name, UNIONS)

    def forward(self, logits: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Unite.

        Args:
            logits: (B, M, K, H, W), any floating dtype.
            present: (B, M) bool; absent sequences are ignored.

        Returns:
            (B, K, H, W) float32; `NOTHING` if no sequence is present.
        """
        unite = unite_mean if self.training and self._unite is unite_vote else self._unite
        return unite(logits.float(), present[:, :, None, None, None])


class WeightedUnion(nn.Module):
    """A union that learns which sequence to trust for which label: M·K weights and K offsets.

    The union's logit is the weighted mean of the present sequences' logits, times the square root
    of their number, because sequences that agree are worth more than one.

    Args:
        sequences: M.
        labels: K.
    """

    def __init__(self, sequences: int, labels: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(sequences, labels))
        self.offsets = nn.Parameter(torch.zeros(labels))

    def forward(self, logits: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """(B, M, K, H, W) logits and (B, M) bool -> (B, K, H, W) float32."""
        shown = present[:, :, None]  # (B, M, 1)
        weights = self.weights.expand(len(present), -1, -1).masked_fill(~shown, NOTHING)
        weights = weights.softmax(dim=1) * shown * present.sum(1)[:, None, None] ** 0.5
        united = torch.einsum("bmk,bmkhw->bkhw", weights, logits.float())
        united = united + self.offsets[:, None, None]
        return united.masked_fill(~present.any(1)[:, None, None, None], NOTHING)


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


def _share(values: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """The mean over the sequences that are present; 0 without any."""
    return values.masked_fill(~present, 0).sum(dim=1) / present.sum(dim=1).clamp(min=1)


def _logits(probabilities: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    nothing = ~present.any(dim=1)
    return torch.logit(probabilities, eps=TINY).masked_fill(nothing, NOTHING)
