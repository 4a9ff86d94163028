"""The training loss: Dice and cross entropy of the union, and a smaller term per sequence."""

import torch
from torch import nn
from torch.nn import functional as F

from zeus_app.protocols import Decoded


class UnionLoss(nn.Module):
    """Dice + BCE of the union's logits, plus a weighted mean of the same loss per sequence.

    Only the union must be complete: a sequence that cannot show a structure costs no more than the
    weight of its own term. That weight is large at the start of a training and small at the end.
    The maximum passes gradients only to the sequence that wins, so a sequence that never wins would
    never learn without its own term.

    Args:
        sequence_weight: weight of the sequences' mean loss. The training lowers it.
        balance: smallest share of the BCE weight that a label's voxels get, in [0, 1). Without it,
            BCE on a label of few voxels teaches only that the label is rare.
    """

    def __init__(self, *, sequence_weight: float, balance: float = 0) -> None:
        from monai.losses import DiceLoss  # importing MONAI takes seconds, and inference needs none

        super().__init__()
        self.sequence_weight = sequence_weight
        self.balance = balance
        # Dice over the batch: on a slice without the label, Dice of that slice alone is noise.
        self.dice = DiceLoss(sigmoid=True, batch=True)

    def forward(
        self, decoded: Decoded, present: torch.Tensor, masks: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss to minimise, and the union's part of it; both scalars.

        Args:
            decoded: logits of M branches and of their union. M may be 0.
            present: (B, M) bool.
            masks: (B, K, H, W) in {0, 1}.
        """
        masks = masks.float()
        union = self._mask_loss(decoded.union.float(), masks)
        branches = decoded.branches.shape[1]
        if branches < 2 or self.sequence_weight == 0:
            return union, union
        sequence_losses = [
            self._mask_loss(decoded.branches[present[:, m], m].float(), masks[present[:, m]])
            for m in range(branches)
            if present[:, m].any()
        ]
        return union + self.sequence_weight * torch.stack(sequence_losses).mean(), union

    def _mask_loss(self, logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        dice: torch.Tensor = self.dice(logits, masks)
        weight = positive_weight(masks, self.balance) if self.balance else None
        return dice + F.binary_cross_entropy_with_logits(logits, masks, pos_weight=weight)


def positive_weight(masks: torch.Tensor, balance: float) -> torch.Tensor:
    """BCE weight of a label's voxels at which they get at least the share `balance` of all weight.

    Args:
        masks: (B, K, H, W) in {0, 1}.
        balance: in [0, 1).

    Returns:
        (K, 1, 1), at least 1.
    """
    foreground = masks.sum(dim=(0, 2, 3))
    background = masks[:, 0].numel() - foreground
    weight = balance / (1 - balance) * background / foreground.clamp(min=1)
    return weight.clamp(min=1)[:, None, None]
