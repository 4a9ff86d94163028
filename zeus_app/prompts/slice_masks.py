"""One slice in all its sequences: from a SlicePrompt to a mask."""

import numpy as np
import torch
from scipy import ndimage

from zeus_app.devices import autocast
from zeus_app.prompts.decoder import PromptDecoder
from zeus_app.prompts.similarity import SimilarRegion, near, part_boxes, similar_region
from zeus_app.prompts.types import BoxPx, SlicePrompt
from zeus_app.types import PICTURE_PX, FloatArray

MAX_REGION_PARTS = 3
"""Most connected parts of a clicked region that are decoded, the largest first."""
MAX_INITIAL_MASK_PARTS = 8
"""The same for an initial mask, which a user may have drawn in many parts."""
INITIAL_MASK_MARGIN_PX = 6.0
"""How far a mask may grow beyond its initial mask, such as that of the neighbouring slice."""
REGION_MARGIN_PX = 4
"""How far a mask may grow beyond the region that is similar to the clicks."""
MIN_PART_PX = 4
"""Parts whose box is smaller than this area in px are not decoded, unless all parts are smaller."""
MISSED_RADIUS_PX = 12.0
"""Around a foreground click that the decoder missed, the similar region is taken as the mask."""


def segment_slice(
    decoder: PromptDecoder, embeddings: torch.Tensor, prompt: SlicePrompt
) -> FloatArray:
    """Segment one slice: the union of the sequences' masks.

    Args:
        decoder: on the embeddings' device.
        embeddings: (M, 256, 64, 64), one slice in M sequences.
        prompt: locates the label by a foreground point, a box or an initial mask.

    Returns:
        (256, 256) float32 probabilities.
    """
    mask, similar = prompt.initial_mask, None
    boxes: list[BoxPx] = []
    allowed = np.zeros((PICTURE_PX, PICTURE_PX), np.bool_)
    if mask is not None and mask.any():
        # The mask's own boxes are better than a search for what is similar (docs/interactive.md).
        boxes += _large(part_boxes(mask), MAX_INITIAL_MASK_PARTS)
        allowed |= ndimage.distance_transform_edt(~mask) <= INITIAL_MASK_MARGIN_PX
    if prompt.foreground or boxes:
        similar = similar_region(embeddings, prompt)
        boxes += _large(part_boxes(similar.region), MAX_REGION_PARTS)
        allowed |= ndimage.binary_dilation(similar.region, iterations=REGION_MARGIN_PX)
    if prompt.box is not None:
        boxes = [prompt.box]
        allowed[:] = True
    probabilities = np.where(allowed, decode_boxes(decoder, embeddings, boxes), 0)
    return _apply_click_constraints(probabilities, prompt, similar)


def decode_boxes(
    decoder: PromptDecoder, embeddings: torch.Tensor, boxes: list[BoxPx]
) -> FloatArray:
    """Decode every box in every sequence, in one pass.

    Args:
        decoder: on the embeddings' device.
        embeddings: (M, 256, 64, 64), one slice in M sequences.
        boxes: in px of the picture; may be empty.

    Returns:
        (256, 256) float32: the largest probability over boxes and sequences; 0 without a box.
    """
    if not boxes:
        return np.zeros((PICTURE_PX, PICTURE_PX), np.float32)
    with autocast(embeddings.device):
        repeated = embeddings.repeat_interleave(len(boxes), dim=0)
        logits = decoder(repeated, boxes * len(embeddings))
    union: FloatArray = torch.sigmoid(logits).amax(dim=0).cpu().numpy()
    return union


def _apply_click_constraints(
    probabilities: FloatArray, prompt: SlicePrompt, similar: SimilarRegion | None
) -> FloatArray:
    """Set pixels to 1 at foreground clicks, and to 0 at background clicks.

    Around a foreground click that the decoder missed, the similar region becomes 1. Pixels more
    similar to a background click than to the label become 0.
    """
    missed = tuple(
        point for point in prompt.foreground if not (probabilities > 0.5)[near((point,))].any()
    )
    if similar is not None:
        if missed:
            added = similar.region & near(missed, MISSED_RADIUS_PX)
            probabilities = np.where(added, 1, probabilities)
        probabilities = np.where(similar.preferred, probabilities, 0)
    probabilities = np.where(near(prompt.foreground), 1, probabilities)
    probabilities = np.where(near(prompt.background), 0, probabilities)
    return probabilities.astype(np.float32)


def _large(boxes: list[BoxPx], count: int) -> list[BoxPx]:
    """The first `count` boxes of at least MIN_PART_PX, or of any size if none is so large."""
    large = [box for box in boxes if (box[2] - box[0]) * (box[3] - box[1]) >= MIN_PART_PX]
    return (large or boxes)[:count]
