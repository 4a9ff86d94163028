"""Sample pictures with organs in known boxes, and the masks that SAM's decoder gives for them.

The masks show whether an image encoder in another runtime gives equivalent embeddings.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder

from zeus_app.types import PICTURE_PX, BoolArray, FloatArray

Sam = tuple[PromptEncoder, MaskDecoder]
"""The untrained prompt encoder and mask decoder that belong to an image encoder."""

BOXES = np.array(
    [
        [[60, 50, 120, 100], [130, 60, 200, 150], [90, 150, 150, 200]],
        [[70, 40, 100, 64], [110, 100, 190, 190], [50, 120, 90, 180]],
        [[100, 80, 112, 94], [128, 40, 190, 100], [60, 130, 180, 210]],
    ],
    np.float32,
)
"""Left, top, right and bottom, in pixels, of the three organs of each picture."""

_HEAD = (20, 12, 236, 244)
_GREYS = np.array([[0.35, 0.85, 0.6, 0.12], [0.35, 0.5, 0.7, 0.2], [0.35, 1.0, 0.2, 0.55]])
"""Grey levels of the head and the organs of each picture."""


def sample_pictures() -> FloatArray:
    """Three pictures, (3, 256, 256) float32 in [0, 1]: noisy heads with organs in `BOXES`."""
    rows, columns = np.mgrid[:PICTURE_PX, :PICTURE_PX]
    pictures = np.zeros((len(BOXES), PICTURE_PX, PICTURE_PX))
    for picture, organs, greys in zip(pictures, BOXES, _GREYS, strict=True):
        for grey, (left, top, right, bottom) in zip(greys, [_HEAD, *organs], strict=True):
            across = (2 * columns - left - right) / (right - left)
            down = (2 * rows - top - bottom) / (bottom - top)
            picture[across**2 + down**2 < 1] = grey
    noise = np.random.default_rng(0).normal(0, 0.03, pictures.shape)
    return np.clip(pictures + noise * (pictures > 0), 0, 1).astype(np.float32)


def masks_in_boxes(sam: Sam, embedding: FloatArray, boxes_xyxy_px: FloatArray) -> BoolArray:
    """Masks of SAM's own decoder for boxes in one picture.

    Args:
        sam: the parts that belong to the image encoder, on the CPU.
        embedding: (256, 64, 64) of any floating dtype.
        boxes_xyxy_px: (K, 4) left, top, right, bottom in pixels of the 256×256 picture.

    Returns:
        (K, 256, 256) bool.
    """
    prompt_encoder, decoder = sam
    scale = prompt_encoder.input_image_size[0] / PICTURE_PX
    with torch.inference_mode():
        sparse, dense = prompt_encoder(
            points=None, boxes=torch.from_numpy(scale * boxes_xyxy_px), masks=None
        )
        logits, _ = decoder(
            image_embeddings=torch.from_numpy(embedding[None].astype(np.float32)),
            image_pe=prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
    return np.asarray(logits[:, 0].numpy() > 0)


def sample_masks(embeddings: FloatArray, *, load: Callable[[], Sam]) -> BoolArray:
    """Embeddings of `sample_pictures`, (3, 256, 64, 64) -> masks of organs, (3, 3, 256, 256)."""
    decode = partial(masks_in_boxes, load())
    return np.stack([decode(*pair) for pair in zip(embeddings, BOXES, strict=True)])
