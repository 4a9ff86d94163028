"""U-Net: MONAI's UNet with one strided convolution at each level.

Sources: Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation",
MICCAI 2015; `monai.networks.nets.UNet`.
"""

from collections.abc import Sequence

import torch
from torch import nn

from zeus_app.baselines.network import Network

CHANNELS = (32, 64, 128, 256, 512)
"""Channels of the five levels; the first has half the edge of the picture."""


class UNetEncoder(nn.Module):
    """(B, C, H, W) -> the features of five levels. H and W are multiples of 16.

    Args:
        levels: one block each.
    """

    def __init__(self, levels: Sequence[nn.Module]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """The features, the finest first."""
        features = []
        for level in self.levels:
            pixels = level(pixels)
            features.append(pixels)
        return features


class UNetDecoder(nn.Module):
    """Features of five levels -> (B, K, H, W) logits.

    Args:
        ups: four blocks, the coarsest first, which read a skip and the result of the level below.
    """

    def __init__(self, ups: Sequence[nn.Module]) -> None:
        super().__init__()
        self.ups = nn.ModuleList(ups)

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Logits of the features, the finest first."""
        *skips, x = features
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            x = up(torch.cat([skip, x], dim=1))
        return x


def build(in_channels: int, labels: int) -> Network:
    """A U-Net with fresh weights."""
    return with_residual_units(in_channels, labels, units=0)


def with_residual_units(in_channels: int, labels: int, *, units: int) -> Network:
    """MONAI's UNet, which nests its levels, taken apart into an encoder and a decoder.

    Args:
        in_channels: channels of the input.
        labels: K.
        units: convolutions in the residual block of each level; 0 for one plain convolution.
    """
    from monai.networks.nets import UNet  # importing MONAI takes seconds, and Zeus needs none

    strides = (2,) * (len(CHANNELS) - 1)
    block = UNet(2, in_channels, labels, CHANNELS, strides, num_res_units=units).model
    downs, ups = [], []
    for _ in strides:
        down, skip, up = block
        downs.append(down)
        ups.append(up)
        block = skip.submodule
    return Network(UNetEncoder([*downs, block]), UNetDecoder(ups[::-1]), CHANNELS)
