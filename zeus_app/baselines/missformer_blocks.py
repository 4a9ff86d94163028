"""MISSFormer's parts: efficient attention, the Enhanced Mix-FFN, their block, and resampling.

Source: Huang, Deng, Li and Yuan, "MISSFormer: An Effective Medical Image Segmentation Transformer",
arXiv:2109.07162 (2021), section 3. Efficient attention is that of SegFormer (arXiv:2105.15203), and
patch expanding that of Swin-Unet (arXiv:2105.05537). The code here is our own, from the papers.

Between the parts, features are maps (B, C, h, w). Inside, tokens are (B, h * w, C), row by row.
"""

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from zeus_app.baselines.layers import ChannelNorm

EXPANSION = 4
"""Hidden channels of the feed-forward network for each of its channels."""


def to_tokens(features: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) -> (B, h * w, C)."""
    return features.flatten(2).transpose(1, 2)


def to_map(tokens: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(B, h * w, C) -> (B, C, h, w)."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *size)


class Attention(nn.Module):
    """Multi-head attention of queries over fewer keys.

    Args:
        channels: of the tokens; a multiple of `heads`.
        heads: number of heads.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, tokens: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """(B, N, C) queries over (B, M, C) keys and values -> (B, N, C)."""
        key, value = self.key_value(context).chunk(2, dim=-1)
        query, key, value = (self._split(part) for part in (self.query(tokens), key, value))
        attended = F.scaled_dot_product_attention(query, key, value)  # (B, heads, N, C / heads)
        return cast(torch.Tensor, self.out(attended.transpose(1, 2).flatten(2)))

    def _split(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, C) -> (B, heads, N, C / heads)."""
        return tokens.reshape(*tokens.shape[:2], self.heads, -1).transpose(1, 2)


class EfficientAttention(nn.Module):
    """Attention whose keys and values are a map at a lower resolution.

    Args:
        channels: of the map.
        heads: number of heads.
        reduction: a strided convolution merges reduction x reduction keys into one; 1: none.
    """

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.attention = Attention(channels, heads)
        self.reduce: nn.Module | None = None
        if reduction > 1:
            self.reduce = nn.Conv2d(channels, channels, reduction, stride=reduction)
            self.norm = nn.LayerNorm(channels)

    def forward(self, tokens: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """(B, h * w, C) and (h, w) -> (B, h * w, C)."""
        context = tokens
        if self.reduce is not None:
            context = self.norm(to_tokens(self.reduce(to_map(tokens, size))))
        return cast(torch.Tensor, self.attention(tokens, context))


class EnhancedMixFFN(nn.Module):
    """Feed-forward network with a depthwise convolution, a skip around it and a normalisation.

    One step of the paper's recursion, which is its default: y = LN(conv(FC(x)) + FC(x)), and the
    output is FC(GELU(y)).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = EXPANSION * channels
        self.expand = nn.Linear(channels, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.norm = nn.LayerNorm(hidden)
        self.contract = nn.Linear(hidden, channels)

    def forward(self, tokens: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """(B, h * w, C) and (h, w) -> (B, h * w, C)."""
        hidden = self.expand(tokens)
        local = to_tokens(self.depthwise(to_map(hidden, size)))
        return cast(torch.Tensor, self.contract(F.gelu(self.norm(hidden + local))))


class TransformerBlock(nn.Module):
    """Enhanced Transformer Block: attention and Enhanced Mix-FFN, each normalised and added."""

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels)
        self.attention = EfficientAttention(channels, heads, reduction)
        self.ffn_norm = nn.LayerNorm(channels)
        self.ffn = EnhancedMixFFN(channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        size = (features.shape[2], features.shape[3])
        tokens = to_tokens(features)
        tokens = tokens + self.attention(self.attention_norm(tokens), size)
        tokens = tokens + self.ffn(self.ffn_norm(tokens), size)
        return to_map(tokens, size)


class PatchEmbedding(nn.Sequential):
    """Overlapping patches as tokens at a lower resolution: a strided convolution and a norm.

    Args:
        channels: of the input.
        out: channels of the tokens.
        size_px: edge of a patch, odd.
        stride_px: from one patch to the next.
    """

    def __init__(self, channels: int, out: int, *, size_px: int, stride_px: int) -> None:
        convolution = nn.Conv2d(channels, out, size_px, stride=stride_px, padding=size_px // 2)
        super().__init__(convolution, ChannelNorm(out))


class PatchExpanding(nn.Module):
    """Each position becomes factor x factor positions.

    Args:
        channels: of the input.
        out: channels of the output.
        factor: how much finer the output is.
    """

    def __init__(self, channels: int, out: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.linear = nn.Conv2d(channels, out * factor**2, 1, bias=False)
        self.norm = ChannelNorm(out)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) -> (B, out, factor * h, factor * w)."""
        expanded = F.pixel_shuffle(self.linear(features), self.factor)
        return cast(torch.Tensor, self.norm(expanded))
