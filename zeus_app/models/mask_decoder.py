"""F_pred: SAM's mask decoder with one output token per label.

SAM has four learned mask tokens, each with its own hypernetwork, and gives up to four masks per
prompt. Zeus uses ONE token and ONE hypernetwork for all labels and adds each label's instruction to
the token. K labels take one pass, K has no limit, and only the text tells the labels apart. The IoU
head is not used (section 3.1 of the paper).
"""

import copy
from typing import cast

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder
from torch import nn
from torch.nn import functional as F

from zeus_app.types import EMBEDDING_CELLS, PICTURE_PX


class Upsample2x(nn.Module):
    """Upsamples 2x: SAM's transposed convolution of kernel 2 and stride 2, as a linear layer.

    Each pixel becomes 2x2 pixels independently of the others. Channels come last and the four new
    pixels stay together, so `unshuffle_pixels` reorders only the masks, which have K channels.

    Args:
        convolution: pretrained `ConvTranspose2d(channels_in, channels_out, 2, stride=2)`.
    """

    def __init__(self, convolution: nn.ConvTranspose2d) -> None:
        super().__init__()
        weight = convolution.weight.detach()  # (in, out, 2, 2)
        bias = cast(torch.Tensor, convolution.bias).detach()
        self.linear = nn.Linear(weight.shape[0], 4 * weight.shape[1])
        with torch.no_grad():
            self.linear.weight.copy_(weight.permute(2, 3, 1, 0).flatten(0, 2))
            self.linear.bias.copy_(bias.repeat(4))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, P, in) -> (N, 4P, out); the 2x2 pixels of one input pixel follow each other."""
        batch, count, _ = pixels.shape
        upsampled: torch.Tensor = self.linear(pixels)
        return upsampled.reshape(batch, 4 * count, -1)


class Upsample4x(nn.Module):
    """Upsamples 4x, from 64x64 to 256x256, with channels last: SAM's `output_upscaling`.

    Args:
        sam_upscaling: pretrained.
    """

    def __init__(self, sam_upscaling: nn.Sequential) -> None:
        super().__init__()
        first, norm, _, second, _ = sam_upscaling
        self.first = Upsample2x(cast(nn.ConvTranspose2d, first))
        self.second = Upsample2x(cast(nn.ConvTranspose2d, second))
        self.norm = nn.LayerNorm(cast(torch.Tensor, norm.weight).numel(), eps=cast(float, norm.eps))
        with torch.no_grad():
            self.norm.weight.copy_(cast(torch.Tensor, norm.weight))
            self.norm.bias.copy_(cast(torch.Tensor, norm.bias))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, 64·64, 256) -> (N, 256·256, 32), in the order that `unshuffle_pixels` undoes."""
        pixels = F.gelu(self.norm(self.first(pixels)))
        return F.gelu(self.second(pixels))


def unshuffle_pixels(masks: torch.Tensor) -> torch.Tensor:
    """(N, 256·256, K) in the order of two `Upsample2x` -> (N, K, 256, 256) in rows."""
    count, _, labels = masks.shape
    # (N, y, x, y2, x2, y4, x4, K)
    nested = masks.reshape(count, EMBEDDING_CELLS, EMBEDDING_CELLS, 2, 2, 2, 2, labels)
    rows = nested.permute(0, 7, 1, 3, 5, 2, 4, 6)  # (N, K, y, y2, y4, x, x2, x4)
    return rows.reshape(count, labels, PICTURE_PX, PICTURE_PX)


class InstructedMaskDecoder(nn.Module):
    """Masks of K labels from one image embedding and K instructions.

    Args:
        sam_decoder: pretrained. Its parts are copied, so several decoders can start from it.
        sam_prompts: pretrained. Its positional encoding and "no mask" embedding stay frozen.
    """

    image_pe: torch.Tensor
    no_mask: torch.Tensor

    def __init__(self, sam_decoder: MaskDecoder, sam_prompts: PromptEncoder) -> None:
        super().__init__()
        self.transformer = copy.deepcopy(sam_decoder.transformer)
        self.mask_token = nn.Parameter(sam_decoder.mask_tokens.weight[0].detach().clone())
        self.upscaling = Upsample4x(sam_decoder.output_upscaling)
        self.hypernetwork = copy.deepcopy(sam_decoder.output_hypernetworks_mlps[0])
        self.register_buffer("image_pe", sam_prompts.get_dense_pe().detach().clone())
        no_mask = sam_prompts.no_mask_embed.weight.detach().reshape(1, -1, 1, 1)
        self.register_buffer("no_mask", no_mask.clone())

    def forward(self, embeddings: torch.Tensor, instructions: torch.Tensor) -> torch.Tensor:
        """Decode one mask per label.

        Args:
            embeddings: (N, 256, 64, 64) image embeddings.
            instructions: (N, K, 256) aligned instructions, one per label.

        Returns:
            (N, K, 256, 256) logits.
        """
        tokens = self.mask_token + instructions
        outputs, pixels = self.transformer(embeddings + self.no_mask, self.image_pe, tokens)
        weights = self.hypernetwork(outputs)  # (N, K, 32)
        masks: torch.Tensor = self.upscaling(pixels) @ weights.transpose(1, 2)  # (N, 256·256, K)
        return unshuffle_pixels(masks)
