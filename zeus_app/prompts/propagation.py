"""Clicks on a study become masks: on the clicked slices, or carried on through their neighbours."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from zeus_app.encoders.cached import CachedImageEncoder
from zeus_app.errors import InputError
from zeus_app.models.fusion import label_indices
from zeus_app.progress import Report
from zeus_app.prompts.decoder import StockDecoder
from zeus_app.prompts.similarity import LIKE, look
from zeus_app.prompts.slice_masks import LEAST_PX, point_at
from zeus_app.prompts.types import SlicePrompt, StudyPrompt, by_slice
from zeus_app.studies.slices import to_voxels
from zeus_app.types import BoolArray, FloatArray, LabelArray, SliceFrame, SliceStack

LEAST_OVERLAP = 0.5
"""Least Dice of two neighbouring slices' masks for them to be of one object."""
PROPAGATING = "carrying on"
"""The stage once all that was pointed at is answered: from here on others may go first."""


@dataclass(frozen=True)
class Reach:
    """How far clicks reach.

    Attributes:
        slices: most slices that a mask is carried on to in each direction; 0 is the clicked slice
            alone.
        only: the slice to answer for; None for every slice that was clicked.
        sequences: names of those to look at; empty for all.
    """

    slices: int = 0
    only: int | None = None
    sequences: tuple[str, ...] = ()


class ClickSegmenter:
    """Turns what users point at into label maps.

    Args:
        images: F_enc behind its store.
        decoder: SAM's own, frozen.
        threshold: probability above which a pixel counts.
        device: of the decoder.
    """

    def __init__(
        self,
        *,
        images: CachedImageEncoder,
        decoder: StockDecoder,
        threshold: float,
        device: torch.device,
    ) -> None:
        self._images, self._decoder = images, decoder.to(device)
        self._threshold, self._device = threshold, device

    def segment(
        self,
        stack: SliceStack,
        pointings: Mapping[int, StudyPrompt],
        *,
        reach: Reach,
        report: Report,
    ) -> LabelArray:
        """Segment what was pointed at.

        Args:
            stack: the study's pictures.
            pointings: label index k -> what was said of it.
            reach: slices and sequences.
            report: told after every slice; may raise CancelledError.

        Returns:
            (X, Y, S) uint8 on the stack's canonical grid: 0, or k + 1 of the most probable label.
            Where only a prior says something, it is what it was.

        Raises:
            InputError: a label was pointed at on slices alone where no sequence shows tissue.
        """
        frame = stack.frame
        walks = {
            k: _Walk(self, stack, reach, report, by_slice(pointing, frame))
            for k, pointing in pointings.items()
        }
        clicked = {k: walk.clicked() for k, walk in walks.items()}
        answer = np.zeros(frame.grid.shape, np.uint8)
        for k, pointing in pointings.items():
            if pointing.prior is not None:
                kept = sorted(walks[k].left_alone)
                answer[..., kept] = np.where(pointing.prior[..., kept], k + 1, answer[..., kept])
        found: dict[int, dict[int, FloatArray]] = {}
        for k, walk in walks.items():
            for s, probabilities in (clicked[k] | walk.carried(clicked[k])).items():
                found.setdefault(s, {})[k] = probabilities
        for s, by_label in found.items():
            labels = self._labels(by_label, frame)
            answer[..., s] = np.where(labels > 0, labels, answer[..., s])
        return answer

    def _labels(self, by_label: Mapping[int, FloatArray], frame: SliceFrame) -> LabelArray:
        """One slice's pictures -> (X, Y) of 0, or k + 1."""
        pictures = np.zeros((1 + max(by_label), 1, frame.size, frame.size), np.float32)
        for k, probabilities in by_label.items():
            pictures[k, 0] = probabilities
        voxels = torch.from_numpy(to_voxels(pictures, frame)[..., 0])  # (K, X, Y)
        labels: LabelArray = label_indices(voxels, threshold=self._threshold).numpy()
        return labels

    def embeddings(
        self, stack: SliceStack, s: int, sequences: Sequence[str], report: Report
    ) -> torch.Tensor:
        """(M', 256, 64, 64) of the sequences that show tissue on a slice; encoded at first need."""
        shown = [
            m
            for m, name in enumerate(stack.sequences)
            if stack.tissue[m, s] and (not sequences or name in sequences)
        ]
        pictures = [stack.pixels[m, s] for m in shown]
        keys = self._images.keep(pictures, report=report)
        kept = [self._images.get(key, one) for key, one in zip(keys, pictures, strict=True)]
        if not kept:
            return torch.zeros(0, 256, 64, 64)
        return torch.from_numpy(np.stack(kept)).to(self._device)

    def answer(self, embeddings: torch.Tensor, pointing: SlicePrompt) -> FloatArray:
        """(256, 256) probabilities: the union of the sequences' answers."""
        return point_at(self._decoder, embeddings, pointing)


class _Walk:
    """One label's way through the slices.

    Attributes:
        left_alone: the slices where its prior stays as it is.
    """

    def __init__(
        self,
        segmenter: ClickSegmenter,
        stack: SliceStack,
        reach: Reach,
        report: Report,
        said: Mapping[int, SlicePrompt],
    ) -> None:
        self._segmenter, self._stack = segmenter, stack
        self._reach, self._report = reach, report
        wanted = {s: one for s, one in said.items() if reach.only in (None, s)}
        self.left_alone = {s for s, one in wanted.items() if one.is_prior_alone}
        self._said = {s: one for s, one in wanted.items() if s not in self.left_alone}
        self._clicked: dict[int, torch.Tensor] = {}  # slice -> (M', 256, 64, 64)

    def clicked(self) -> dict[int, FloatArray]:
        """Slice -> (256, 256) probabilities, of the slices that were pointed at.

        Raises:
            InputError: none of them shows tissue.
        """
        found: dict[int, FloatArray] = {}
        pointed = {s: one for s, one in self._said.items() if not one.is_empty}
        for s, pointing in pointed.items():
            if (there := self._at(s, pointing, "clicked slices")) is not None:
                found[s], self._clicked[s] = there
        if pointed and not found:
            raise InputError(
                f"clicks on slices {', '.join(map(str, sorted(pointed)))} alone",
                expected="a foreground click, a box or a mask on a slice that shows tissue",
                remedy="click into the tissue",
            )
        return found

    def carried(self, clicked: Mapping[int, FloatArray]) -> dict[int, FloatArray]:
        """The same of their neighbours."""
        found: dict[int, FloatArray] = {}
        for s in sorted(clicked) if self._reach.slices else ():
            for way in (1, -1):
                found |= self._carried(clicked[s], s, way, {*clicked, *found, *self.left_alone})
        return found

    def _carried(
        self, start: FloatArray, s: int, way: int, known: Collection[int]
    ) -> dict[int, FloatArray]:
        """From a clicked slice to its neighbours, until the object ends or a known slice is met."""
        carried: dict[int, FloatArray] = {}
        prior = start > 0.5
        clicked = look(self._clicked[s], prior)
        for here in self._ahead(s, way):
            if here in known or not prior.any():
                break
            beside = self._said[here].background if here in self._said else ()
            there = self._at(here, SlicePrompt(prior=prior, background=beside), PROPAGATING)
            if there is None:
                break
            answer, embeddings = there
            mask = answer > 0.5
            if not (_one_object(prior, mask) and _alike(clicked, look(embeddings, mask))):
                break
            carried[here], prior = answer, mask
        return carried

    def _ahead(self, s: int, way: int) -> Iterable[int]:
        last = s + way * self._reach.slices
        slices = self._stack.frame.grid.shape[2]
        return range(s + way, max(-1, min(slices, last + way)), way)

    def _at(
        self, s: int, pointing: SlicePrompt, stage: str
    ) -> tuple[FloatArray, torch.Tensor] | None:
        """The answer on one slice, and its embeddings; None where no sequence shows tissue."""
        self._report(stage, s, self._stack.frame.grid.shape[2])
        embeddings = self._segmenter.embeddings(self._stack, s, self._reach.sequences, self._report)
        if not len(embeddings):
            return None
        return self._segmenter.answer(embeddings, pointing), embeddings


def _alike(clicked: torch.Tensor, here: torch.Tensor) -> bool:
    """Whether two masks look the same in the mean of the sequences, where the same show tissue."""
    if clicked.shape != here.shape:
        return True
    return float((clicked * here).sum(dim=1).mean()) >= LIKE


def _one_object(before: BoolArray, after: BoolArray) -> bool:
    total = int(before.sum() + after.sum())
    overlap = 2 * int((before & after).sum()) / max(1, total)
    return int(after.sum()) >= LEAST_PX and overlap >= LEAST_OVERLAP
