"""One slice, every sequence: from what was pointed at to a mask of each sequence."""

import numpy as np
import torch
from scipy import ndimage

from zeus_app.clicks.decoder import PICTURE_PX, StockDecoder
from zeus_app.clicks.pointing import BoxPx, Pointing
from zeus_app.clicks.region import Likeness, boxes, near
from zeus_app.devices import autocast
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


def point_at(decoder: StockDecoder, embeddings: torch.Tensor, pointing: Pointing) -> FloatArray:
    """Each sequence's answer to the same clicks.

    Args:
        decoder: on the embeddings' device.
        embeddings: (M, 256, 64, 64), of one slice in M sequences.
        pointing: what was pointed at; not empty.

    Returns:
        (M, 256, 256) float32 probabilities.
    """
    views = [_View(embedding, pointing) for embedding in embeddings]
    rows = [m for m, view in enumerate(views) for _ in view.boxes]
    wanted = [box for view in views for box in view.boxes]
    answers = np.zeros((len(views), PICTURE_PX, PICTURE_PX), np.float32)
    if wanted:
        with autocast(embeddings.device):
            logits = decoder(embeddings[rows], wanted)
        found = torch.sigmoid(logits).cpu().numpy()
        for m, probabilities in zip(rows, found, strict=True):
            np.maximum(answers[m], probabilities, out=answers[m])
    return np.stack([view.obeying(answer) for view, answer in zip(views, answers, strict=True)])


def united(answers: FloatArray) -> FloatArray:
    """(M, 256, 256) -> (256, 256): a pixel belongs to the label when any sequence shows it."""
    best: FloatArray = answers.max(axis=0)
    return best


class _View:
    """One sequence's view of what was pointed at.

    Attributes:
        boxes: what its decoder is asked.
    """

    def __init__(self, embedding: torch.Tensor, pointing: Pointing) -> None:
        self._pointing = pointing
        self._likeness: Likeness | None = None
        self._region = np.zeros((PICTURE_PX, PICTURE_PX), np.bool_)
        self._believed = self._region
        found: list[BoxPx] = []
        prior = pointing.prior
        if prior is not None and prior.any():
            # Better than looking for what is like the mask (docs/interactive.md): its very boxes.
            found += _worth(boxes(prior), PARTS_OF_PRIOR)
            self._believed = ndimage.distance_transform_edt(~prior) <= REACH_PX
        if pointing.foreground or found:
            self._likeness = Likeness(embedding, pointing)
            self._region = self._likeness.region()
            found += _worth(boxes(self._region), PARTS)
            self._believed = self._believed | _widened(self._region)
        self.boxes = found if pointing.box is None else [pointing.box]

    def obeying(self, answer: FloatArray) -> FloatArray:
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
