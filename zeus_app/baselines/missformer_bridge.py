"""MISSFormer's Enhanced Transformer Context Bridge: attention over the features of all levels.

Source: arXiv:2109.07162, section 3.3. The features of the four levels are flattened to tokens of as
many channels as the finest level has, so a position of a coarser level becomes several tokens.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from zeus_app.baselines.missformer_blocks import Attention, EnhancedMixFFN, to_map, to_tokens

Sizes = Sequence[tuple[int, int]]
"""(h, w) of each level, the finest first."""


class Levels:
    """Between one sequence of tokens and one map for each level.

    Args:
        channels: of each level; multiples of the first.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        self.channels = tuple(channels)
        self.width = self.channels[0]

    def join(self, tokens: Sequence[torch.Tensor]) -> torch.Tensor:
        """(B, h_i * w_i, C_i) of each level -> (B, N, C_0).

        C_i / C_0 tokens in a row are one position of level i.
        """
        return torch.cat([t.reshape(t.shape[0], -1, self.width) for t in tokens], dim=1)

    def split(self, tokens: torch.Tensor, sizes: Sizes) -> list[torch.Tensor]:
        """(B, N, C_0) -> (B, h_i * w_i, C_i) of each level."""
        counts = [h * w * c // self.width for (h, w), c in zip(sizes, self.channels, strict=True)]
        parts = torch.split(tokens, counts, dim=1)
        pairs = zip(parts, self.channels, strict=True)
        return [part.reshape(part.shape[0], -1, channels) for part, channels in pairs]


class BridgeLayer(nn.Module):
    """Attention over all levels, then the Enhanced Mix-FFN of each level.

    Args:
        levels: the levels' channels.
        reductions: how much a strided convolution reduces the keys of each level.
    """

    def __init__(self, levels: Levels, reductions: Sequence[int]) -> None:
        super().__init__()
        self.levels = levels
        pairs = zip(levels.channels, reductions, strict=True)
        self.reduce = nn.ModuleList(
            nn.Conv2d(c, c, r, stride=r) if r > 1 else nn.Identity() for c, r in pairs
        )
        self.attention_norm = nn.LayerNorm(levels.width)
        self.context_norm = nn.LayerNorm(levels.width)
        self.attention = Attention(levels.width, heads=1)
        self.ffn_norm = nn.LayerNorm(levels.width)
        self.ffns = nn.ModuleList(EnhancedMixFFN(channels) for channels in levels.channels)

    def forward(self, tokens: torch.Tensor, sizes: Sizes) -> torch.Tensor:
        """(B, N, C_0) -> (B, N, C_0)."""
        normed = self.attention_norm(tokens)
        tokens = tokens + self.attention(normed, self._context(normed, sizes))
        parts = self.levels.split(self.ffn_norm(tokens), sizes)
        mixed = [f(part, size) for f, part, size in zip(self.ffns, parts, sizes, strict=True)]
        return tokens + self.levels.join(mixed)

    def _context(self, tokens: torch.Tensor, sizes: Sizes) -> torch.Tensor:
        """(B, N, C_0) -> (B, M, C_0): the keys and values, every level at a lower resolution."""
        parts = self.levels.split(tokens, sizes)
        maps = [to_map(part, size) for part, size in zip(parts, sizes, strict=True)]
        reduced = [reduce(m) for reduce, m in zip(self.reduce, maps, strict=True)]
        joined = self.levels.join([to_tokens(part) for part in reduced])
        return cast(torch.Tensor, self.context_norm(joined))


class ContextBridge(nn.Module):
    """Several layers over the features of all levels.

    Args:
        channels: of each level, the finest first; multiples of the first.
        reductions: reduction of the keys of each level.
        depth: number of layers.
    """

    def __init__(self, channels: Sequence[int], reductions: Sequence[int], depth: int) -> None:
        super().__init__()
        self.levels = Levels(channels)
        self.layers = nn.ModuleList(BridgeLayer(self.levels, reductions) for _ in range(depth))

    def forward(self, features: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """(B, C_i, h_i, w_i) of each level -> the same shapes."""
        sizes = [(feature.shape[2], feature.shape[3]) for feature in features]
        tokens = self.levels.join([to_tokens(feature) for feature in features])
        for layer in self.layers:
            tokens = layer(tokens, sizes)
        parts = self.levels.split(tokens, sizes)
        return [to_map(part, size) for part, size in zip(parts, sizes, strict=True)]
