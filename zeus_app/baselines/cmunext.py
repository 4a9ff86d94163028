"""CMUNeXt: a convolutional encoder-decoder with large kernels, the network of LLM4Seg.

Source: Tang et al., "CMUNeXt: An Efficient Medical Image Segmentation Network based on Large Kernel
and Skip Fusion", 2023, arXiv 2308.01239, section 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import nn

from zeus_app.baselines.network import Network

EXPANSION = 4
"""The two 1×1 convolutions of a block go through this many times its channels."""


@dataclass(frozen=True)
class CmunextSize:
    """Size of the five levels, the finest first; each level halves the edge of the one before.

    Attributes:
        dims: channels of each level's feature.
        depths: blocks with a large kernel.
        kernels: edge of these kernels, in pixels; odd.
    """

    dims: tuple[int, ...] = (16, 32, 128, 160, 256)
    depths: tuple[int, ...] = (1, 1, 1, 3, 1)
    kernels: tuple[int, ...] = (3, 3, 7, 7, 7)


PAPER = CmunextSize()


class CmunextEncoder(nn.Module):
    """(B, C, H, W) float32 -> five features; feature i is (B, dims[i], H / 2^i, W / 2^i)."""

    def __init__(self, in_channels: int, size: CmunextSize = PAPER) -> None:
        super().__init__()
        widths = (size.dims[0], *size.dims)
        self.stem = _convolution(in_channels, widths[0])
        self.levels = nn.ModuleList(
            _level(widths[i], widths[i + 1], depth=size.depths[i], kernel=size.kernels[i])
            for i in range(len(size.dims))
        )
        self.pool = nn.MaxPool2d(2)

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """The features, the finest first. H and W are multiples of 16."""
        # Channels last is twice as fast on a CPU, and the convolutions keep the format.
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        features = [self.levels[0](self.stem(pixels))]
        for level in self.levels[1:]:
            features.append(level(self.pool(features[-1])))
        return features


class CmunextDecoder(nn.Module):
    """Five features -> (B, K, H, W) logits.

    Args:
        labels: K.
        bottleneck: (B, dims[-1], h, w) -> the same shape, before the first upsampling. The identity
            makes a plain CMUNeXt.
        size: size of the encoder.
    """

    def __init__(
        self, labels: int, bottleneck: nn.Module | None = None, size: CmunextSize = PAPER
    ) -> None:
        super().__init__()
        self.bottleneck = bottleneck or nn.Identity()
        coarse_to_fine = size.dims[::-1]
        pairs = list(pairwise(coarse_to_fine))
        self.ups = nn.ModuleList(_upsampling(coarse, fine) for coarse, fine in pairs)
        self.fusions = nn.ModuleList(_skip_fusion(fine) for _, fine in pairs)
        self.head = nn.Conv2d(size.dims[0], labels, kernel_size=1)

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Logits of the encoder's features, the finest first."""
        *skips, coarsest = features
        x = self.bottleneck(coarsest)
        for up, fusion, skip in zip(self.ups, self.fusions, reversed(skips), strict=True):
            x = fusion(torch.cat([skip, up(x)], dim=1))
        return cast(torch.Tensor, self.head(x))


def build(in_channels: int, labels: int) -> Network:
    """A plain CMUNeXt in the size of its paper."""
    return network(in_channels, labels)


def network(
    in_channels: int,
    labels: int,
    *,
    bottleneck: nn.Module | None = None,
    size: CmunextSize = PAPER,
) -> Network:
    """A CMUNeXt with a module at its bottleneck, in any size."""
    return Network(
        CmunextEncoder(in_channels, size), CmunextDecoder(labels, bottleneck, size), size.dims
    )


class _Residual(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, x + self.inner(x))


def _level(channels: int, out_channels: int, *, depth: int, kernel: int) -> nn.Module:
    """Equations 1 to 3: depthwise large kernels with a residual, then two 1×1 convolutions."""
    blocks = []
    for _ in range(depth):
        large = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        blocks += [
            _Residual(_activated(large)),
            _activated(nn.Conv2d(channels, EXPANSION * channels, kernel_size=1)),
            _activated(nn.Conv2d(EXPANSION * channels, channels, kernel_size=1)),
        ]
    return nn.Sequential(*blocks, _convolution(channels, out_channels))


def _skip_fusion(channels: int) -> nn.Module:
    """Skip and upsampled feature, each 3×3 on its own, then mixed by two 1×1 convolutions."""
    both = 2 * channels
    return nn.Sequential(
        _activated(nn.Conv2d(both, both, kernel_size=3, padding=1, groups=2)),
        _activated(nn.Conv2d(both, EXPANSION * channels, kernel_size=1)),
        _activated(nn.Conv2d(EXPANSION * channels, channels, kernel_size=1)),
    )


def _upsampling(channels: int, out_channels: int) -> nn.Module:
    bilinear = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return nn.Sequential(bilinear, _convolution(channels, out_channels))


def _activated(convolution: nn.Conv2d) -> nn.Module:
    return nn.Sequential(convolution, nn.GELU(), nn.BatchNorm2d(convolution.out_channels))


def _convolution(channels: int, out_channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, kernel_size=3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
