"""Shared by all SAM encoders: prompt encoder, mask decoder, and the call that embeds pictures.

The classes are segment-anything's own, with the sizes of its `build_sam.py`.
"""

import numpy as np
import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer

from zeus_app.encoders.pictures import check_pictures
from zeus_app.encoders.runtime import Runtime
from zeus_app.types import (
    EMBEDDING_CELLS,
    EMBEDDING_CHANNELS,
    EMBEDDING_SHAPE,
    PICTURE_PX,
    FloatArray,
)


def build_prompt_encoder_and_decoder(input_px: int) -> tuple[PromptEncoder, MaskDecoder]:
    """Build segment-anything's prompt encoder (6,476 numbers) and mask decoder (4,058,340).

    Args:
        input_px: edge of the network's input; points and boxes are in its pixels.

    Returns:
        Both with random parameters, in eval mode.
    """
    prompt_encoder = PromptEncoder(
        embed_dim=EMBEDDING_CHANNELS,
        image_embedding_size=(EMBEDDING_CELLS, EMBEDDING_CELLS),
        input_image_size=(input_px, input_px),
        mask_in_chans=16,
    )
    decoder = MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(
            depth=2, embedding_dim=EMBEDDING_CHANNELS, mlp_dim=2048, num_heads=8
        ),
        transformer_dim=EMBEDDING_CHANNELS,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )
    return prompt_encoder.eval(), decoder.eval()


def decoder_skeleton() -> tuple[PromptEncoder, MaskDecoder]:
    """The prompt encoder and mask decoder on the meta device, for counting parameters."""
    with torch.device("meta"):
        return build_prompt_encoder_and_decoder(PICTURE_PX)


def embed(runtime: Runtime, pictures: FloatArray, *, name: str) -> FloatArray:
    """Run an image encoder over pictures.

    Args:
        runtime: (N, 256, 256) -> (N, 256, 64, 64), both float32.
        pictures: (N, 256, 256) float32 in [0, 1].
        name: the encoder's name for an error message.

    Returns:
        (N, 256, 64, 64) float16: half the bytes.

    Raises:
        InputError: pictures of another size.
    """
    check_pictures(pictures, name=name)
    embeddings = np.empty((len(pictures), *EMBEDDING_SHAPE), np.float16)
    if len(pictures):
        embeddings[:] = runtime(pictures.astype(np.float32, copy=False))
    return embeddings
