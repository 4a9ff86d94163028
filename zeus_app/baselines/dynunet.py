"""DynUNet: nnU-Net's architecture, the yardstick of this field.

Sources: Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical
image segmentation", Nature Methods 2021; `monai.networks.nets.DynUNet`.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from zeus_app.baselines.network import Network
from zeus_app.baselines.unet import UNetEncoder

CHANNELS = (32, 64, 128, 256, 512, 512, 512)
"""Channels of the levels. nnU-Net halves 256×256 pixels down to 4×4, and has at most 512."""


class DynUNetDecoder(nn.Module):
    """Features of seven levels -> (B, K, H, W) logits.

    Args:
        ups: six blocks, the coarsest first.
        head: 1×1 convolution to the logits.
    """

    def __init__(self, ups: nn.ModuleList, head: nn.Module) -> None:
        super().__init__()
        self.ups, self.head = ups, head

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Logits of the features, the finest first."""
        *skips, x = features
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            x = up(x, skip)
        return cast(torch.Tensor, self.head(x))


def build(in_channels: int, labels: int) -> Network:
    """MONAI's DynUNet, which nests its levels, taken apart into an encoder and a decoder."""
    from monai.networks.nets import DynUNet  # importing MONAI takes seconds

    downs = (2,) * (len(CHANNELS) - 1)
    kernels = (3,) * len(CHANNELS)
    net = DynUNet(2, in_channels, labels, kernels, (1, *downs), downs, filters=CHANNELS)
    encoder = UNetEncoder([net.input_block, *net.downsamples, net.bottleneck])
    return Network(encoder, DynUNetDecoder(net.upsamples, net.output_block), CHANNELS)
