"""MISSFormer: a hierarchical transformer with a bridge over its levels and a transformer decoder.

Source: Huang, Deng, Li and Yuan, "MISSFormer: An Effective Medical Image Segmentation Transformer",
arXiv:2109.07162 (2021). The released code has no licence, and no line of it stands here.

Size for 3 channels and 9 labels: 35,452,745 parameters. The published size is 42.46 M. Two more
transformer blocks with a merging layer at the decoder's coarsest level (6.88 M) and two more
normalisations in every Enhanced Mix-FFN (0.13 M) would give it. They are left out: the bridge's
output already is the coarsest level.

The bridge belongs to the decoder, so hybrid fusion merges features before it.
"""

from itertools import pairwise
from typing import cast

import torch
from torch import nn

from zeus_app.baselines.layers import ChannelNorm
from zeus_app.baselines.missformer_blocks import PatchEmbedding, PatchExpanding, TransformerBlock
from zeus_app.baselines.missformer_bridge import ContextBridge
from zeus_app.baselines.network import Network

CHANNELS = (64, 128, 320, 512)
HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)
BLOCKS = 2
"""Transformer blocks of each level, in the encoder and in the decoder."""
BRIDGE_LAYERS = 4


def _level(number: int) -> list[nn.Module]:
    """The transformer blocks of a level."""
    shape = (CHANNELS[number], HEADS[number], REDUCTIONS[number])
    return [TransformerBlock(*shape) for _ in range(BLOCKS)]


class MISSFormerEncoder(nn.Module):
    """Features at 1/4, 1/8, 1/16 and 1/32 of the resolution, with `CHANNELS` channels."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        embeddings = [PatchEmbedding(in_channels, CHANNELS[0], size_px=7, stride_px=4)]
        embeddings += [PatchEmbedding(*pair, size_px=3, stride_px=2) for pair in pairwise(CHANNELS)]
        self.stages = nn.ModuleList(
            nn.Sequential(embedding, *_level(number), ChannelNorm(CHANNELS[number]))
            for number, embedding in enumerate(embeddings)
        )

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """(B, C, 256, 256) -> four features, the finest first."""
        features = [pixels]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features[1:]


class DecoderStep(nn.Module):
    """Expand to a finer level, merge with its feature, then its transformer blocks.

    Args:
        number: of the finer level, 0 for the finest.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        channels, coarser = CHANNELS[number], CHANNELS[number + 1]
        self.expand = PatchExpanding(coarser, coarser // 2, factor=2)
        self.merge = nn.Conv2d(coarser // 2 + channels, channels, 1)
        self.blocks = nn.Sequential(*_level(number))

    def forward(self, decoded: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """(B, coarser, h, w) and (B, C, 2h, 2w) -> (B, C, 2h, 2w)."""
        merged = self.merge(torch.cat([self.expand(decoded), skip], dim=1))
        return cast(torch.Tensor, self.blocks(merged))


class MISSFormerDecoder(nn.Module):
    """The bridge, three steps to finer levels, and patch expanding to the pixels."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.bridge = ContextBridge(CHANNELS, REDUCTIONS, BRIDGE_LAYERS)
        self.steps = nn.ModuleList(DecoderStep(number) for number in (2, 1, 0))
        self.expand = PatchExpanding(CHANNELS[0], CHANNELS[0], factor=4)
        self.logits = nn.Conv2d(CHANNELS[0], labels, 1)

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Features of `MISSFormerEncoder` -> (B, K, 256, 256) logits."""
        *finer, decoded = self.bridge(features)
        for step, skip in zip(self.steps, reversed(finer), strict=True):
            decoded = step(decoded, skip)
        return cast(torch.Tensor, self.logits(self.expand(decoded)))


def build(in_channels: int, labels: int) -> Network:
    """MISSFormer with fresh weights."""
    return Network(MISSFormerEncoder(in_channels), MISSFormerDecoder(labels), CHANNELS)
