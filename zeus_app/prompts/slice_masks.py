"""One slice, every sequence: from what was pointed at to a mask."""

import numpy as np
import torch
from scipy import ndimage

from zeus_app.devices import autocast
from zeus_app.prompts.decoder import PICTURE_PX, StockDecoder
from zeus_app.prompts.similarity import Similarity, boxes, near
from zeus_app.prompts.types import BoxPx, SlicePrompt
from zeus_app.types import BoolArray, FloatArray

PARTS = 3
"""Most connected parts of a clicked region that are decoded; the smaller ones are left out."""
PARTS_OF_PRIOR = 8
"""The same of a mask to start from, which somebody may have drawn in many parts."""
REACH_PX = 6.0
"""How far an object may reach beyond a mask to start from, such as its neighbouring slice's."""
LEAST_PX = 4
"""Parts smaller than this are not worth a pass, unless there is no larger one."""
MARGIN_PX = 4
"""How far from what is like the label the decoder is believed."""
MISSED_PX = 12.0
"""Around a click that the decoder missed, what is like it is taken as it is."""


def point_at(decoder: StockDecoder, embeddings: torch.Tensor, pointing: SlicePrompt) -> FloatArray:
    """What clicks on a slice mean: the union of what its sequences show of it.

    Args:
        decoder: on the embeddings' device.
        embeddings: (M, 256, 64, 64), of one slice in M sequences.
        pointing: what was pointed at; not empty.

    Returns:
        (256, 256) float32 probabilities.
    """
    view = _View(embeddings, pointing)
    union = np.zeros((PICTURE_PX, PICTURE_PX), np.float32)
    if view.boxes:
        count = len(view.boxes)
        with autocast(embeddings.device):
            logits = decoder(
                embeddings.repeat_interleave(count, dim=0), view.boxes * len(embeddings)
            )
        union = torch.sigmoid(logits).amax(dim=0).cpu().numpy()
    return view.apply_click_constraints(union)


class _View:
    """What the sequences of a slice make of what was pointed at.

    Attributes:
        boxes: what the decoder is asked, in every sequence.
    """

    def __init__(self, embeddings: torch.Tensor, pointing: SlicePrompt) -> None:
        self._pointing = pointing
        self._likeness: Similarity | None = None
        self._region = np.zeros((PICTURE_PX, PICTURE_PX), np.bool_)
        self._believed = self._region
        found: list[BoxPx] = []
        prior = pointing.prior
        if prior is not None and prior.any():
            # Better than looking for what is like the mask (docs/interactive.md): its very boxes.
            found += _worth(boxes(prior), PARTS_OF_PRIOR)
            self._believed = ndimage.distance_transform_edt(~prior) <= REACH_PX
        if pointing.foreground or found:
            self._likeness = Similarity(embeddings, pointing)
            self._region = self._likeness.region()
            found += _worth(boxes(self._region), PARTS)
            self._believed = self._believed | _widened(self._region)
        self.boxes = found if pointing.box is None else [pointing.box]

    def apply_click_constraints(self, answer: FloatArray) -> FloatArray:
        """The answer, without what a click says is not of the label, with what one says is."""
        said = self._pointing
        if said.box is None:
            answer = np.where(self._believed, answer, 0)
        missed = tuple(p for p in said.foreground if not (answer > 0.5)[near((p,))].any())
        if missed:
            answer = np.where(self._region & near(missed, MISSED_PX), 1, answer)
        if said.background and self._likeness is not None:
            answer = np.where(self._likeness.preferred(), answer, 0)
        answer = np.where(near(said.foreground), 1, answer)
        obeyed: FloatArray = np.where(near(said.background), 0, answer)
        return obeyed.astype(np.float32)


def _worth(found: list[BoxPx], most: int) -> list[BoxPx]:
    large = [box for box in found if (box[2] - box[0]) * (box[3] - box[1]) >= LEAST_PX]
    return (large or found)[:most]


def _widened(region: BoolArray) -> BoolArray:
    wide: BoolArray = ndimage.binary_dilation(region, iterations=MARGIN_PX)
    return wide
