"""What training minimises: the union's error, and a little of each sequence's own."""

import torch
from monai.losses import DiceLoss
from torch import nn
from torch.nn import functional as F

from zeus_app.models.fusion import fused_logits


class UnionLoss(nn.Module):
    """Dice + BCE on the fused logits, plus a smaller term on every sequence alone.

    Only the union must be whole: a sequence that cannot show a part is not punished for it beyond
    the small weight that its own term has in the end. In the beginning that term is large, for the
    maximum passes gradients to the winner alone: a branch that wins nowhere would never learn.

    Args:
        sequence_weight: weight of the mean of the sequences' own losses; may change as training
            goes on.
        union: how sequences unite.
        balance: the least share of the BCE's weight that the voxels of a label have: of a few
            voxels in a slice BCE learns nothing but that there are few.
    """

    def __init__(self, *, sequence_weight: float, union: str, balance: float = 0) -> None:
        super().__init__()
        self.sequence_weight = sequence_weight
        self.balance = balance
        self.union = union
        # Over the batch: a slice without the label would make its own Dice pure noise.
        self.dice = DiceLoss(sigmoid=True, batch=True)

    def forward(
        self, logits: torch.Tensor, present: torch.Tensor, masks: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What to minimise, and the union's own part of it; both scalars.

        Args:
            logits: (B, M, K, H, W).
            present: (B, M) bool.
            masks: (B, K, H, W) in {0, 1}.
        """
        masks = masks.float()
        union = self._mask_loss(fused_logits(logits, present, union=self.union), masks)
        branches = logits.shape[1]
        if branches == 1 or self.sequence_weight == 0:
            return union, union
        own = [
            self._mask_loss(logits[present[:, m], m].float(), masks[present[:, m]])
            for m in range(branches)
            if present[:, m].any()
        ]
        return union + self.sequence_weight * torch.stack(own).mean(), union

    def _mask_loss(self, logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        dice: torch.Tensor = self.dice(logits, masks)
        weight = positive_weight(masks, self.balance) if self.balance else None
        return dice + F.binary_cross_entropy_with_logits(logits, masks, pos_weight=weight)


def positive_weight(masks: torch.Tensor, balance: float) -> torch.Tensor:
    """What a voxel of a label must weigh for all of them to have at least this share of the weight.

    Args:
        masks: (B, K, H, W) in {0, 1}.
        balance: in [0, 1).

    Returns:
        (K, 1, 1), at least 1.
    """
    own = masks.sum(dim=(0, 2, 3))
    others = masks[:, 0].numel() - own
    weight = balance / (1 - balance) * others / own.clamp(min=1)
    return weight.clamp(min=1)[:, None, None]
