"""UNeXt: three stages of convolutions, then two of tokens whose channels are shifted and mixed.

Source: Valanarasu and Patel, "UNeXt: MLP-based Rapid Medical Image Segmentation Network", MICCAI
2022, arXiv:2203.04967. The code here is our own.

Size for 3 channels and 1 label: 1,470,017 parameters. The paper states 1.47 M. Its text has 32, 64,
128, 160 and 256 channels; such a network has 1.58 M. The stated size is that of 16, 32, 128, 160
and 256 channels, which this module takes.
"""

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from zeus_app.baselines.layers import ChannelNorm, ConvNormReLU
from zeus_app.baselines.network import Network

CHANNELS = (16, 32, 128, 160, 256)
REACH_PX = 2
"""Shifts go from -2 to 2 pixels, one for each of five groups of channels."""


def shift(features: torch.Tensor, axis: int) -> torch.Tensor:
    """Shift five groups of channels by -2, -1, 0, 1 and 2 pixels; zeros come in at the border.

    Args:
        features: (B, C, h, w). The groups are equally large, or the first ones have a channel more.
        axis: 2 shifts along the height, 3 along the width.

    Returns:
        (B, C, h, w).
    """
    border = (REACH_PX, REACH_PX)
    padded = F.pad(features, (0, 0, *border) if axis == 2 else border)
    size = features.shape[axis]
    groups = padded.tensor_split(2 * REACH_PX + 1, dim=1)
    starts = range(2 * REACH_PX, -1, -1)
    shifted = [g.narrow(axis, start, size) for g, start in zip(groups, starts, strict=True)]
    return torch.cat(shifted, dim=1)


class TokenizedMLP(nn.Module):
    """Mix channels after a shift along the width, then after a shift along the height.

    Equations 1 to 4 of the paper. A 1x1 convolution is the linear layer of every token.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.across = nn.Conv2d(channels, channels, 1)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.down = nn.Conv2d(channels, channels, 1)
        self.norm = ChannelNorm(channels)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        mixed = self.depthwise(self.across(shift(tokens, axis=3)))
        mixed = self.down(F.gelu(shift(mixed, axis=2)))
        return cast(torch.Tensor, self.norm(tokens + mixed))


def _tokenize(channels: int, out: int) -> nn.Sequential:
    """Tokens of overlapping patches at half the resolution, then a block."""
    embedding = nn.Conv2d(channels, out, 3, stride=2, padding=1)
    return nn.Sequential(embedding, ChannelNorm(out), TokenizedMLP(out))


class UNeXtEncoder(nn.Module):
    """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the resolution, with `CHANNELS` channels."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        first, second, third, fourth, fifth = CHANNELS
        steps = ((in_channels, first), (first, second), (second, third))
        stages = [nn.Sequential(ConvNormReLU(*step), nn.MaxPool2d(2)) for step in steps]
        self.stages = nn.ModuleList([*stages, _tokenize(third, fourth), _tokenize(fourth, fifth)])

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """(B, C, 256, 256) -> five features, the finest first."""
        features = [pixels]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features[1:]


class UNeXtDecoder(nn.Module):
    """Upsample from the coarsest feature and add the finer ones."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        first, second, third, fourth, fifth = CHANNELS
        steps = ((fifth, fourth), (fourth, third), (third, second), (second, first))
        self.steps = nn.ModuleList(ConvNormReLU(*step) for step in steps)
        mixers = (TokenizedMLP(fourth), TokenizedMLP(third), nn.Identity(), nn.Identity())
        self.mixers = nn.ModuleList(mixers)
        self.last = ConvNormReLU(first, first)
        self.logits = nn.Conv2d(first, labels, 1)

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Features of `UNeXtEncoder` -> (B, K, 256, 256) logits."""
        *finer, decoded = features
        for step, mixer, skip in zip(self.steps, self.mixers, reversed(finer), strict=True):
            decoded = mixer(_double(step(decoded)) + skip)
        return cast(torch.Tensor, self.logits(_double(self.last(decoded))))


def _double(features: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) -> (B, C, 2h, 2w), bilinear."""
    return F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)


def build(in_channels: int, labels: int) -> Network:
    """UNeXt with fresh weights."""
    return Network(UNeXtEncoder(in_channels), UNeXtDecoder(labels), CHANNELS)
