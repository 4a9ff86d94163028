"""SAM's own prompt encoder and mask decoder, frozen: a training never changes clicks."""

from collections.abc import Sequence

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder
from torch import nn

from zeus_app.models.mask_decoder import Upsample4x, unshuffle_pixels
from zeus_app.prompts.types import BoxPx
from zeus_app.types import PICTURE_PX


class PromptDecoder(nn.Module):
    """Masks from image embeddings and boxes, many pairs in one pass.

    segment-anything's decoder decodes many prompts on one image. Here every box has an image of its
    own (one sequence of a slice), so the decoder's parts are called directly. `Upscaling` replaces
    the decoder's upscaling layers: equal numbers in less time.

    Args:
        prompts: pretrained; its input size is the unit of the boxes that it encodes.
        decoder: pretrained.
    """

    image_pe: torch.Tensor
    no_mask: torch.Tensor

    def __init__(self, prompts: PromptEncoder, decoder: MaskDecoder) -> None:
        super().__init__()
        self.prompts, self.decoder = prompts, decoder
        self.upscaling = Upsample4x(decoder.output_upscaling)
        self.scale = prompts.input_image_size[0] / PICTURE_PX
        self.register_buffer("image_pe", prompts.get_dense_pe().detach(), persistent=False)
        no_mask = prompts.no_mask_embed.weight.detach().reshape(1, -1, 1, 1)
        self.register_buffer("no_mask", no_mask, persistent=False)
        self.eval().requires_grad_(False)

    @torch.inference_mode()
    def forward(self, embeddings: torch.Tensor, boxes: Sequence[BoxPx]) -> torch.Tensor:
        """Decode one box in each image.

        Args:
            embeddings: (N, 256, 64, 64) image embeddings.
            boxes: N boxes in px of the 256×256 picture.

        Returns:
            (N, 256, 256) float32 logits.
        """
        decoder = self.decoder
        corners = torch.tensor(boxes, dtype=torch.float32, device=embeddings.device) * self.scale
        sparse, _ = self.prompts(points=None, boxes=corners, masks=None)
        tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([tokens.expand(len(boxes), -1, -1), sparse], dim=1)
        source = embeddings.float() + self.no_mask
        image_pe = self.image_pe.expand(len(boxes), -1, -1, -1)
        outputs, pixels = decoder.transformer(source, image_pe, tokens)
        weights = decoder.output_hypernetworks_mlps[0](outputs[:, 1])  # of the single-mask token
        masks = self.upscaling(pixels) @ weights[:, :, None]  # (N, 256·256, 1)
        return unshuffle_pixels(masks)[:, 0].float()
