"""What every baseline network offers: an encoder and a decoder.

Apart, the two allow fusion at the level of features: one encoder per sequence, and one decoder for
all of them.
"""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import nn


class Network(nn.Module):
    """A network for slices, as an encoder and a decoder.

    Args:
        encoder: (B, C, 256, 256) float32 -> features, the finest first. Feature i is
            (B, feature_channels[i], h, w).
        decoder: these features -> (B, K, 256, 256) float32 logits of K labels.
        feature_channels: channels of each feature.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, feature_channels: Sequence[int]
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.feature_channels = tuple(feature_channels)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, C, 256, 256) -> (B, K, 256, 256) logits."""
        return cast(torch.Tensor, self.decoder(self.encoder(pixels)))


BuildNetwork = Callable[[int, int], Network]
"""(channels of the input, labels) -> a network with fresh weights."""
