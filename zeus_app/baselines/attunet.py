"""AttUNet: a U-Net whose skips pass attention gates.

Sources: Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas", MIDL 2018;
`monai.networks.nets.AttentionUnet`.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn

from zeus_app.baselines.network import Network
from zeus_app.baselines.unet import UNetEncoder

CHANNELS = (32, 64, 128, 256, 512)
"""Channels of the five levels, from full resolution to a sixteenth of the edge."""


class AttentionDecoder(nn.Module):
    """Features of five levels -> (B, K, H, W) logits.

    Args:
        layers: MONAI's attention layers, the coarsest first; their nested levels are left out.
        head: 1×1 convolution to the logits.
    """

    def __init__(self, layers: Sequence[Any], head: nn.Module) -> None:
        super().__init__()
        self.ups = nn.ModuleList(layer.upconv for layer in layers)
        self.gates = nn.ModuleList(layer.attention for layer in layers)
        self.merges = nn.ModuleList(layer.merge for layer in layers)
        self.head = head

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Logits of the features, the finest first."""
        *skips, x = features
        steps = zip(self.ups, self.gates, self.merges, reversed(skips), strict=True)
        for up, gate, merge, skip in steps:
            x = up(x)
            x = merge(torch.cat([gate(g=x, x=skip), x], dim=1))
        return cast(torch.Tensor, self.head(x))


def build(in_channels: int, labels: int) -> Network:
    """MONAI's AttentionUnet, which nests its levels, taken apart into an encoder and a decoder."""
    from monai.networks.nets import AttentionUnet  # importing MONAI takes seconds

    strides = (2,) * (len(CHANNELS) - 1)
    first, layer, head = AttentionUnet(2, in_channels, labels, CHANNELS, strides).model
    downs, layers = [first], []
    for _ in strides[1:]:
        down, inner = layer.submodule
        downs.append(down)
        layers.append(layer)
        layer = inner
    encoder = UNetEncoder([*downs, layer.submodule])
    return Network(encoder, AttentionDecoder([layer, *layers[::-1]], head), CHANNELS)
