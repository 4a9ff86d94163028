"""F_pred: SAM's mask decoder, with one output token a label, told apart by its instruction.

SAM answers one prompt with up to four masks, through four learnt mask tokens that each have a
hypernetwork of their own. Zeus gives every label the SAME token and hypernetwork and adds the
label's instruction to the token: K labels cost one pass, K has no limit, and nothing but the text
says which label a mask is of. The IoU head is not used (section 3.1 of the paper).
"""

import copy

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder
from torch import nn

GRID = 64
MASK_SIZE = 4 * GRID


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
        self.upscaling = copy.deepcopy(sam_decoder.output_upscaling)
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
        pixels = pixels.transpose(1, 2).unflatten(2, (GRID, GRID))  # (N, 256, 64, 64)
        pixels = self.upscaling(pixels)  # (N, 32, 256, 256)
        masks: torch.Tensor = self.hypernetwork(answers) @ pixels.flatten(2)
        return masks.unflatten(2, (MASK_SIZE, MASK_SIZE))
