"""One slice, every sequence: from what was pointed at to a mask of each sequence."""

import numpy as np
import torch

from zeus_app.clicks.decoder import PICTURE_PX, StockDecoder
from zeus_app.clicks.pointing import BoxPx, Pointing
from zeus_app.clicks.region import Likeness, boxes, near
from zeus_app.types import FloatArray

PARTS = 3
"""Most connected parts of a region that are decoded; the smaller ones are left out."""
LEAST_PX = 4
"""Parts smaller than this are not worth a pass, unless there is no larger one."""


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
    if not wanted:
        return answers  # a neighbouring slice with nothing like the object
    found = torch.sigmoid(decoder(embeddings[rows], wanted)).cpu().numpy()
    for m, probabilities in zip(rows, found, strict=True):
        np.maximum(answers[m], probabilities, out=answers[m])
    return np.stack([view.obeying(answer) for view, answer in zip(views, answers, strict=True)])


class _View:
    """One sequence's view of what was pointed at."""

    def __init__(self, embedding: torch.Tensor, pointing: Pointing) -> None:
        self.pointing = pointing
        self.likeness: Likeness | None = None
        if pointing.foreground or pointing.prior is not None:
            self.likeness = Likeness(embedding, pointing)
        self.boxes = self._boxes()

    def _boxes(self) -> list[BoxPx]:
        if self.pointing.box is not None:
            return [self.pointing.box]
        assert self.likeness is not None, "nothing says where the label is"
        found = boxes(self.likeness.region())
        large = [box for box in found if (box[2] - box[0]) * (box[3] - box[1]) >= LEAST_PX]
        return (large or found)[:PARTS]

    def obeying(self, answer: FloatArray) -> FloatArray:
        """The answer, without what a click says is not of the label, with what one says is."""
        likeness = self.likeness
        if self.pointing.background and likeness is not None:
            answer = np.where(likeness.preferred(), answer, 0)
        answer = np.where(near(self.pointing.foreground), 1, answer)
        obeyed: FloatArray = np.where(near(self.pointing.background), 0, answer)
        return obeyed.astype(np.float32)


def united(answers: FloatArray) -> FloatArray:
    """(M, 256, 256) -> (256, 256): a pixel belongs to the label when any sequence shows it."""
    best: FloatArray = answers.max(axis=0)
    return best
