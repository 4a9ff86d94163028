"""The second look: SAM's frozen decoder draws the read-out's masks again, inside their boxes.

The read-out finds a structure; SAM's decoder, prompted with the structure's box, draws its outline.
The mean of both probabilities is the answer. Not every label gains by this. So
labels are chosen on training cases: those whose masks fit at least as well after the second look.
This is ours, not the paper's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import torch
from scipy import ndimage

from zeus_app.devices import batch_size
from zeus_app.pipeline.slice_inputs import SliceInputs
from zeus_app.prompts.decoder import PromptDecoder
from zeus_app.prompts.types import BoxPx
from zeus_app.training.cases import Case
from zeus_app.types import BoolArray, FloatArray

MARGIN_PX = 2
"""Margin around a structure's box: a first mask misses a little of its outline."""
LEAST_BOX_PX = 64
"""Area of 2×2 cells of the embedding. Smaller parts keep their first masks: SAM cannot see them."""
MOST_PARTS = 4
"""The largest parts of a label on a slice are drawn again. The time of an answer stays bounded."""
BOXES_AT_ONCE, BOXES_AT_ONCE_CPU = 8, 2
"""Parts in one pass of SAM's decoder. On a CPU two take less time than eight, and less memory."""
MOST_CASES, SLICES_OF_A_CASE = 4, 3
"""Training cases that labels are chosen on, and slices of each."""
TINY = 1e-6


class HasEmbeddings(Protocol):
    """A prepared study with whole embeddings."""

    @property
    def present(self) -> BoolArray:
        """(S, M) bool."""

    @property
    def inputs(self) -> SliceInputs:
        """Gives the embedding of a slice."""


@dataclass(frozen=True)
class Structure:
    """A connected part of a label on one slice.

    Attributes:
        row: index of the slice in the batch.
        label: k.
        box: around the part, with the margin.
    """

    row: int
    label: int
    box: BoxPx


def structures(masks: BoolArray) -> tuple[list[Structure], BoolArray]:
    """The largest connected parts of (B, K, 256, 256) masks; and a mask of all other parts."""
    found, others = [], np.zeros_like(masks)
    for row, label in np.argwhere(masks.any(axis=(2, 3))):
        parts, _ = ndimage.label(masks[row, label])
        boxes = ndimage.find_objects(parts)
        largest = sorted(range(len(boxes)), key=lambda i: -_area(boxes[i]))[:MOST_PARTS]
        drawn = [i for i in largest if _area(boxes[i]) >= LEAST_BOX_PX]
        found += [Structure(int(row), int(label), _with_margin(boxes[i])) for i in drawn]
        others[row, label] = masks[row, label] & ~np.isin(parts, [i + 1 for i in drawn])
    return found, others


def _area(box: tuple[slice, slice]) -> int:
    rows, cols = box
    return int((rows.stop - rows.start) * (cols.stop - cols.start))


def _with_margin(box: tuple[slice, slice]) -> BoxPx:
    rows, cols = box
    return (
        float(cols.start - MARGIN_PX),
        float(rows.start - MARGIN_PX),
        float(cols.stop - 1 + MARGIN_PX),
        float(rows.stop - 1 + MARGIN_PX),
    )


@torch.inference_mode()
def redraw(
    decoder: PromptDecoder,
    masks: BoolArray,
    embeddings: Callable[[int], FloatArray],
    *,
    device: torch.device,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw the largest connected parts of these masks again.

    Args:
        decoder: SAM's, frozen.
        masks: (B, K, 256, 256) bool.
        embeddings: row -> (M', 256, 64, 64), the embeddings of the sequences present on that slice.
            Their probabilities are averaged.
        device: of the decoder.

    Returns:
        (B, K, 256, 256) float32 probabilities: the larger one where parts meet, 0 elsewhere; and
        bool masks of the parts that were not drawn again.
    """
    drawn = torch.zeros(masks.shape, device=device)
    found, left = structures(masks)
    by_row = {row: embeddings(row) for row in {part.row for part in found}}
    batch = batch_size(0, device, gpu=BOXES_AT_ONCE, cpu=BOXES_AT_ONCE_CPU)
    for start in range(0, len(found), batch):
        parts = found[start : start + batch]
        counts = [len(by_row[part.row]) for part in parts]
        stacked = torch.from_numpy(np.concatenate([by_row[part.row] for part in parts]))
        boxes = [part.box for part, count in zip(parts, counts, strict=True) for _ in range(count)]
        masks_of_sequences = torch.split(torch.sigmoid(decoder(stacked.to(device), boxes)), counts)
        for part, probabilities in zip(parts, masks_of_sequences, strict=True):
            mask = drawn[part.row, part.label]
            torch.maximum(mask, probabilities.mean(dim=0), out=mask)
    return drawn, torch.from_numpy(left).to(device)


class SecondLook:
    """Decides for which labels masks are drawn again, and draws them.

    Args:
        decoder: SAM's, frozen.
        labels: (K,) bool buffer of the trainable part, so that checkpoints hold the decision.
        device: of the decoder.
    """

    def __init__(self, decoder: PromptDecoder, labels: torch.Tensor, device: torch.device) -> None:
        self._decoder, self._labels, self._device = decoder.to(device), labels, device

    def draw(
        self, prepared: HasEmbeddings, slices: Sequence[int], union: torch.Tensor
    ) -> torch.Tensor:
        """(B, K, 256, 256) logits of B slices -> the same, with the chosen labels' second look."""
        if not self._labels.any():
            return union
        chosen = self._labels[:, None, None]
        seen_twice = self._see_twice(prepared, slices, union, exclusive(union) & chosen)
        return torch.where(chosen, seen_twice, union)

    def choose(
        self,
        cases: Sequence[Case],
        decode: Callable[[HasEmbeddings, Sequence[int]], torch.Tensor],
    ) -> None:
        """Choose the labels whose masks do not lose Dice by the second look.

        Args:
            cases: training cases.
            decode: study and slices -> (B, K, 256, 256) logits of the read-out.
        """
        first, second, truth = [], [], []
        for case in cases[:: max(1, len(cases) // MOST_CASES)]:
            prepared = cast(HasEmbeddings, case.prepared)
            slices = evenly(
                [s for s in case.tissue_slices if case.shows[s].any()], SLICES_OF_A_CASE
            )
            if not slices:
                continue
            logits = decode(prepared, slices)
            masks = exclusive(logits)
            truth.append(case.masks(slices).to(self._device))
            first.append(masks)
            second.append(exclusive(self._see_twice(prepared, slices, logits, masks)))
        if truth:
            chosen = labels_that_gain(*map(torch.cat, (first, second, truth)))
            self._labels.copy_(torch.from_numpy(chosen))

    def _see_twice(
        self,
        prepared: HasEmbeddings,
        slices: Sequence[int],
        logits: torch.Tensor,
        masks: torch.Tensor,
    ) -> torch.Tensor:
        """Logits of the mean of the first probabilities and of those that are drawn again."""

        def embeddings(row: int) -> FloatArray:
            s = slices[row]
            shown = np.flatnonzero(prepared.present[s])
            return np.stack([prepared.inputs.embedding(int(m), s) for m in shown])

        drawn, left = redraw(self._decoder, masks.cpu().numpy(), embeddings, device=self._device)
        mean = torch.logit((torch.sigmoid(logits) + drawn) / 2, eps=TINY)
        return torch.where(left, logits, mean)


def exclusive(logits: torch.Tensor) -> torch.Tensor:
    """(B, K, H, W) logits -> bool masks; a pixel has its most probable label, or none."""
    best, label = logits.max(dim=1, keepdim=True)
    channels = torch.arange(logits.shape[1], device=logits.device)[:, None, None]
    return (label == channels) & (best > 0)


def labels_that_gain(first: torch.Tensor, second: torch.Tensor, truth: torch.Tensor) -> BoolArray:
    """Whether the second masks of each label are at least as good as the first, by Dice.

    Args:
        first: (N, K, 256, 256) bool.
        second: the same.
        truth: the same.

    Returns:
        (K,) bool; False for labels that the truth does not show.
    """
    shown = truth.any(dim=(2, 3)).any(dim=0)
    scores = [_dice(masks, truth) for masks in (first, second)]
    gains: BoolArray = ((scores[1] >= scores[0]) & shown).cpu().numpy()
    return gains


def _dice(masks: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """(K,) Dice of all slices together."""
    overlap = (masks & truth).sum(dim=(0, 2, 3)).double()
    total = masks.sum(dim=(0, 2, 3)) + truth.sum(dim=(0, 2, 3))
    return 2 * overlap / total.clamp(min=1)


def evenly(slices: Sequence[int], count: int) -> list[int]:
    """At most `count` of these slices, evenly spaced."""
    rows = np.linspace(0, len(slices) - 1, min(count, len(slices))).round().astype(int)
    return [slices[row] for row in rows]
