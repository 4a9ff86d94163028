"""UNet++: a U-Net whose skips are nested U-Nets.

Sources: Zhou et al., "UNet++: A Nested U-Net Architecture for Medical Image Segmentation", DLMIA
2018; `monai.networks.nets.BasicUNetPlusPlus`.
"""

from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any, cast

import torch
from torch import nn

from zeus_app.baselines.network import Network
from zeus_app.baselines.unet import UNetEncoder

CHANNELS = (32, 64, 128, 256, 512)
"""Channels of the five levels, from full resolution to a sixteenth of the edge."""


class NestedDecoder(nn.Module):
    """Features of five levels -> (B, K, H, W) logits.

    Node (i, j) of level i reads the nodes (i, 0) to (i, j - 1), and node (i + 1, j - 1) enlarged.
    Nodes (i, 0) are the encoder's features.

    Args:
        net: MONAI's network; of its four heads only the last is used.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.depth = len(CHANNELS) - 1
        self.nodes = nn.ModuleDict(
            {f"{i}_{j}": getattr(net, f"upcat_{i}_{j}") for i, j in _nodes(self.depth)}
        )
        self.head = net.final_conv_0_4

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Logits of the features, the finest first."""
        rows = [[feature] for feature in features]
        for i, j in _nodes(self.depth):
            rows[i].append(self.nodes[f"{i}_{j}"](rows[i + 1][j - 1], torch.cat(rows[i], dim=1)))
        return cast(torch.Tensor, self.head(rows[0][-1]))


def build(in_channels: int, labels: int) -> Network:
    """MONAI's BasicUNetPlusPlus, taken apart into an encoder and a decoder."""
    from monai.networks.nets import BasicUNetPlusPlus  # importing MONAI takes seconds

    with redirect_stdout(StringIO()):  # the class prints its channels
        net = BasicUNetPlusPlus(2, in_channels, labels, (*CHANNELS, CHANNELS[0]))
    levels = [getattr(net, f"conv_{i}_0") for i in range(len(CHANNELS))]
    return Network(UNetEncoder(levels), NestedDecoder(net), CHANNELS)


def _nodes(depth: int) -> list[tuple[int, int]]:
    """(i, j) of all nodes with j > 0, each after those that it reads."""
    return [(i, j) for j in range(1, depth + 1) for i in range(depth + 1 - j)]
