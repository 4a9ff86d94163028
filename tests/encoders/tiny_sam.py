"""Tiny SAMs with random parameters: no tensor is zero, and every layer keeps its signal strong."""

import math

import torch
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)
from torch import nn


def tiny_sam(seed: int = 0, *, input_px: int = 256) -> Sam:
    """A SAM of 64x64x256 embeddings whose encoder has two blocks of width 32."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sam = Sam(
            ImageEncoderViT(
                img_size=input_px,
                patch_size=input_px // 64,
                embed_dim=32,
                depth=2,
                num_heads=2,
                mlp_ratio=2,
                norm_layer=lambda width: nn.LayerNorm(width, eps=1e-6),
                use_rel_pos=True,
                window_size=14,
                global_attn_indexes=(1,),
            ),
            PromptEncoder(
                embed_dim=256,
                image_embedding_size=(64, 64),
                input_image_size=(input_px, input_px),
                mask_in_chans=16,
            ),
            MaskDecoder(transformer_dim=256, transformer=TwoWayTransformer(2, 256, 8, 2048)),
        )
    randomise(sam, seed)
    return sam.eval()


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Draw every parameter at random so that each layer keeps the size of its signal."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            noise = torch.randn(value.shape, generator=generator)
            if value.ndim == 1:  # biases near 0, scales of norms near 1
                value.copy_(0.1 * noise + name.endswith("weight"))
            elif "pos_embed" in name:
                value.copy_(0.3 * noise)
            else:
                value.copy_(noise / math.sqrt(value[0].numel()))
