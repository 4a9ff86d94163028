"""Layers that several baseline networks share."""

import torch
from torch import nn


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (B, C, h, w), at every position by itself."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        return super().forward(features.movedim(1, -1)).movedim(-1, 1)


class ConvNormReLU(nn.Sequential):
    """A 3x3 convolution without bias, batch normalisation and ReLU, at the same resolution.

    The normalisation would remove a bias of the convolution.

    Args:
        channels: of the input.
        out: of the output.
    """

    def __init__(self, channels: int, out: int) -> None:
        convolution = nn.Conv2d(channels, out, 3, padding=1, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(out), nn.ReLU())
