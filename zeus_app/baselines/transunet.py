"""TransUNet: a ResNet-50, a ViT-B/16 over its features, and an upsampler with skips.

Source: Chen et al., "TransUNet: Transformers Make Strong Encoders for Medical Image Segmentation",
arXiv:2102.04306 (2021). The ResNet and the transformer are timm's
`vit_base_r50_s16_224`, which is the hybrid of Dosovitskiy et al. (arXiv:2010.11929) that the paper
starts from: weight-standardised convolutions, group normalisation, 3, 4 and 9 blocks, then 12
transformer layers of 768 channels. As in the paper, there is no class token.

Size: about 105.3 M parameters, as published for 224 pixels and 9 classes (105.28 M). At 256 pixels
there are 256 tokens instead of 196, so the position embeddings have 46,080 values more.
`zeus_app/baselines/transunet_weights.py` loads ImageNet weights.
"""

from itertools import pairwise
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F

from zeus_app.baselines.layers import ConvNormReLU
from zeus_app.baselines.network import Network

TIMM_MODEL = "vit_base_r50_s16_224"
SIZE_PX = 256
LAYERS = 12
FEATURE_CHANNELS = (64, 256, 512, 768)
DECODER_CHANNELS = (512, 256, 128, 64, 16)
DROPOUT = 0.1


class TransUNetEncoder(nn.Module):
    """Three features of the ResNet, and the transformer's grid as the coarsest.

    Args:
        vit: timm's hybrid ViT for 256 x 256 pixels, without class token and head.
    """

    def __init__(self, vit: Any) -> None:
        super().__init__()
        self.vit = vit

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """(B, C, 256, 256) -> features at 1/2, 1/4, 1/8 and 1/16, with `FEATURE_CHANNELS`."""
        embed = self.vit.patch_embed
        deepest, finer = embed.backbone.forward_intermediates(pixels, indices=[0, 1, 2])
        tokens = embed.proj(deepest).flatten(2).transpose(1, 2)  # (B, 256, 768)
        tokens = self.vit.pos_drop(tokens + self.vit.pos_embed)
        tokens = self.vit.norm(self.vit.blocks(tokens))
        return [*finer, tokens.transpose(1, 2).unflatten(2, embed.grid_size)]


class CascadedUpsampler(nn.Module):
    """Four steps that double the resolution; the first three read a skip."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.first = ConvNormReLU(FEATURE_CHANNELS[-1], DECODER_CHANNELS[0])
        skips = (*reversed(FEATURE_CHANNELS[:-1]), 0)
        pairs = zip(pairwise(DECODER_CHANNELS), skips, strict=True)
        self.steps = nn.ModuleList(
            nn.Sequential(ConvNormReLU(channels + skip, out), ConvNormReLU(out, out))
            for (channels, out), skip in pairs
        )
        self.logits = nn.Conv2d(DECODER_CHANNELS[-1], labels, 3, padding=1)

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Features of `TransUNetEncoder` -> (B, K, 256, 256) logits."""
        *finer, tokens = features
        skips: list[torch.Tensor | None] = [*reversed(finer), None]
        decoded = self.first(tokens)
        for step, skip in zip(self.steps, skips, strict=True):
            decoded = F.interpolate(decoded, scale_factor=2, mode="bilinear", align_corners=True)
            decoded = step(decoded if skip is None else torch.cat([decoded, skip], dim=1))
        return cast(torch.Tensor, self.logits(decoded))


def build(in_channels: int, labels: int) -> Network:
    """TransUNet with fresh weights."""
    import timm  # takes seconds, and the other networks need none of it

    vit = timm.create_model(
        TIMM_MODEL,
        img_size=SIZE_PX,
        in_chans=in_channels,
        depth=LAYERS,
        num_classes=0,
        global_pool="",
        class_token=False,
        pos_drop_rate=DROPOUT,
        proj_drop_rate=DROPOUT,
    )
    # timm starts residual branches at zero, where all but their last layer gets no gradient.
    vit.patch_embed.backbone.init_weights(zero_init_last=False)
    return Network(TransUNetEncoder(vit), CascadedUpsampler(labels), FEATURE_CHANNELS)
