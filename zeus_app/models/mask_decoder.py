"""F_pred: SAM's mask decoder, with one output token a label, told apart by its instruction.

SAM answers one prompt with up to four masks, through four learnt mask tokens that each have a
hypernetwork of their own. Zeus gives every label the SAME token and hypernetwork and adds the
label's instruction to the token: K labels cost one pass, K has no limit, and nothing but the text
says which label a mask is of. The IoU head is not used (section 3.1 of the paper).
"""

import copy
from typing import cast

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder
from torch import nn
from torch.nn import functional as F

from zeus_app.types import EMBEDDING_CELLS, PICTURE_PX


class Upsample2x(nn.Module):
    """SAM's transposed convolution of kernel and stride 2, as what it is: one matrix a pixel.

    Every pixel becomes 2x2 pixels on its own. With channels last and children beside their parent,
    nothing is moved in memory until the masks, which have K channels and not 64.

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
        """(N, P, in) -> (N, 4P, out): the 2x2 children follow their parent, row by row."""
        count, parents, _ = pixels.shape
        children: torch.Tensor = self.linear(pixels)
        return children.reshape(count, 4 * parents, -1)


class Upscaling(nn.Module):
    """SAM's two doublings, 64x64 to 256x256, with channels last.

    Args:
        sam_upscaling: pretrained, SAM's `output_upscaling`.
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
        """(N, 64·64, 256) -> (N, 256·256, 32), in the order that `in_rows` undoes."""
        pixels = F.gelu(self.norm(self.first(pixels)))
        return F.gelu(self.second(pixels))


def unshuffle_pixels(masks: torch.Tensor) -> torch.Tensor:
    """(N, 256·256, K), children beside their parents -> (N, K, 256, 256)."""
    count, _, labels = masks.shape
    # (N, y, x, y2, x2, y4, x4, K)
    nested = masks.reshape(count, EMBEDDING_CELLS, EMBEDDING_CELLS, 2, 2, 2, 2, labels)
    rows = nested.permute(0, 7, 1, 3, 5, 2, 4, 6)  # (N, K, y, y2, y4, x, x2, x4)
    return rows.reshape(count, labels, PICTURE_PX, PICTURE_PX)


class InstructedMaskDecoder(nn.Module):
    """Masks of K labels from one image embedding and K instructions.

    Args:
        sam_decoder: pretrained; its parts are copied, so that several decoders can start from it.
        sam_prompts: pretrained; gives the positional code and the "no mask" embedding, both frozen.
    """

    image_pe: torch.Tensor
    no_mask: torch.Tensor

    def __init__(self, sam_decoder: MaskDecoder, sam_prompts: PromptEncoder) -> None:
        super().__init__()
        self.transformer = copy.deepcopy(sam_decoder.transformer)
        self.mask_token = nn.Parameter(sam_decoder.mask_tokens.weight[0].detach().clone())
        self.upscaling = Upscaling(sam_decoder.output_upscaling)
        self.hypernetwork = copy.deepcopy(sam_decoder.output_hypernetworks_mlps[0])
        self.register_buffer("image_pe", sam_prompts.get_dense_pe().detach().clone())
        no_mask = sam_prompts.no_mask_embed.weight.detach().reshape(1, -1, 1, 1)
        self.register_buffer("no_mask", no_mask.clone())

    def forward(self, embeddings: torch.Tensor, instructions: torch.Tensor) -> torch.Tensor:
        """Decode.

        Args:
            embeddings: (N, 256, 64, 64) image embeddings.
            instructions: (N, K, 256) aligned instructions, one a label.

        Returns:
            (N, K, 256, 256) logits.
        """
        tokens = self.mask_token + instructions
        answers, pixels = self.transformer(embeddings + self.no_mask, self.image_pe, tokens)
        weights = self.hypernetwork(answers)  # (N, K, 32)
        masks: torch.Tensor = self.upscaling(pixels) @ weights.transpose(1, 2)  # (N, 256·256, K)
        return unshuffle_pixels(masks)
