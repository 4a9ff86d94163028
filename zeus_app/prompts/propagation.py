"""Propagation: a slice's mask becomes the initial mask of its neighbour, until the object ends."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch

from zeus_app.prompts.decoder import PromptDecoder
from zeus_app.prompts.similarity import MIN_COSINE, prototype
from zeus_app.prompts.slice_embeddings import SliceEmbeddings
from zeus_app.prompts.slice_masks import MIN_PART_PX, segment_slice
from zeus_app.prompts.types import Point, SlicePrompt
from zeus_app.types import BoolArray, FloatArray

MIN_DICE = 0.5
"""Least Dice of two neighbouring slices' masks for both to show the same object."""
PROPAGATING = "propagating"
"""Stage of a job after all prompted slices are segmented. Clicks of others now go first."""


@dataclass(frozen=True)
class PropagationLimits:
    """The slices and sequences that an answer may use.

    Attributes:
        max_slices: most slices that a mask is propagated to, in each direction; 0: none.
        only_slice: the one slice to segment (2-D); None: every prompted slice.
        sequences: names of the sequences to use; empty: all.
    """

    max_slices: int = 0
    only_slice: int | None = None
    sequences: tuple[str, ...] = ()


def propagate(
    decoder: PromptDecoder,
    embeddings: SliceEmbeddings,
    prompts: Mapping[int, SlicePrompt],
    segmented: Mapping[int, FloatArray],
    *,
    max_slices: int,
) -> dict[int, FloatArray]:
    """Propagate one label's masks from the prompted slices, in both directions.

    A mask ends at a slice whose prompts locate the label themselves, at a slice without tissue, and
    where the next mask is no longer of the same object. Background clicks on the way count.

    Args:
        decoder: on the embeddings' device.
        embeddings: of the study's slices.
        prompts: slice index -> the label's prompts.
        segmented: slice index -> (256, 256) probabilities, of the prompted slices.
        max_slices: most slices in each direction.

    Returns:
        Slice index -> (256, 256) float32 probabilities, of the neighbouring slices.
    """
    ends = {s for s, prompt in prompts.items() if prompt.locates_label}
    background = {s: prompt.background for s, prompt in prompts.items()}
    propagated: dict[int, FloatArray] = {}
    for start, probabilities in sorted(segmented.items()):
        for direction in (1, -1):
            last = min(max(start + direction * max_slices, 0), embeddings.slice_count - 1)
            ahead = range(start + direction, last + direction, direction)
            propagated |= _propagate_through(
                _until_first(ahead, ends | propagated.keys()),
                decoder=decoder,
                embeddings=embeddings,
                start=start,
                mask=probabilities > 0.5,
                background=background,
            )
    return propagated


def _until_first(slices: Iterable[int], ends: Collection[int]) -> list[int]:
    """The slices before the first one that is in `ends`."""
    return list(takewhile(lambda s: s not in ends, slices))


def _propagate_through(
    slices: Sequence[int],
    *,
    decoder: PromptDecoder,
    embeddings: SliceEmbeddings,
    start: int,
    mask: BoolArray,
    background: Mapping[int, tuple[Point, ...]],
) -> dict[int, FloatArray]:
    """Propagate the mask of slice `start` through consecutive slices, until the object ends."""
    propagated: dict[int, FloatArray] = {}
    if not slices or not mask.any():
        return propagated
    clicked = prototype(embeddings.of_slice(start, PROPAGATING), mask)
    for s in slices:
        of_slice = embeddings.of_slice(s, PROPAGATING)
        if not len(of_slice):
            break
        prompt = SlicePrompt(initial_mask=mask, background=background.get(s, ()))
        probabilities = segment_slice(decoder, of_slice, prompt)
        next_mask = probabilities > 0.5
        if not _overlap(mask, next_mask) or not _alike(clicked, prototype(of_slice, next_mask)):
            break
        propagated[s], mask = probabilities, next_mask
    return propagated


def _alike(clicked: torch.Tensor, here: torch.Tensor) -> bool:
    """Whether two prototypes are similar in the mean of the sequences.

    Prototypes of different sequences cannot be compared and count as similar.
    """
    if clicked.shape != here.shape:
        return True
    return float((clicked * here).sum(dim=1).mean()) >= MIN_COSINE


def _overlap(mask: BoolArray, next_mask: BoolArray) -> bool:
    """Whether the next mask has a Dice of at least MIN_DICE with the one before."""
    total = int(mask.sum() + next_mask.sum())
    dice = 2 * int((mask & next_mask).sum()) / max(1, total)
    return int(next_mask.sum()) >= MIN_PART_PX and dice >= MIN_DICE
