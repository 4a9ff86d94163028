"""Propagation: a slice's mask becomes the initial mask of its neighbour, until the object ends."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import torch

from zeus_app.prompts.similarity import MIN_COSINE
from zeus_app.prompts.slice_masks import MIN_PART_PX
from zeus_app.prompts.slice_segmenter import SliceSegmenter
from zeus_app.prompts.types import SlicePrompt
from zeus_app.types import BoolArray, FloatArray

MIN_DICE = 0.5
"""Least Dice of two neighbouring slices' masks for both to show the same object."""
PROPAGATING = "propagating"
"""Stage of a job after all prompted slices are segmented. Clicks of others now go first."""


@dataclass(frozen=True)
class PropagationLimits:
    """The slices and sequences that an answer may use, and the time for it.

    Attributes:
        max_slices: most slices that a mask is propagated to, in each direction; 0: none.
        only_slice: the one slice to segment (2-D); None: every prompted slice.
        sequences: names of the sequences to use; empty: all.
        first_slice: the prompted slice that is segmented first, or the one nearest to it.
        encode_s: seconds in which pictures are encoded. Only the first prompted slice takes longer.
            Slices that are encoded already count whatever the time.
    """

    max_slices: int = 0
    only_slice: int | None = None
    sequences: tuple[str, ...] = ()
    first_slice: int = 0
    encode_s: float = math.inf


@dataclass(eq=False)
class Propagation:
    """Propagates one label's masks from the prompted slices, in both directions.

    A mask ends at a slice whose prompts locate the label themselves, at a slice without tissue, and
    where the next mask is no longer of the same object. Background clicks on the way count.

    Attributes:
        slices: segments the study's slices.
        prompts: slice index -> the label's prompts.
        segmented: slice index -> (256, 256) probabilities, of the prompted slices.
        max_slices: most slices in each direction.
        propagated: slice index -> (256, 256) float32 probabilities, of the neighbouring slices.
        is_complete: whether no mask ended at a slice that could not be encoded in time.
    """

    slices: SliceSegmenter
    prompts: Mapping[int, SlicePrompt]
    segmented: Mapping[int, FloatArray]
    max_slices: int
    propagated: dict[int, FloatArray] = field(default_factory=dict)
    is_complete: bool = True
    _upwards_from: set[int] = field(default_factory=set)  # starts whose way upwards goes on

    def walks(self) -> list[Iterator[None]]:
        """One walk for each prompted slice and direction; each step is one slice.

        The steps of the walks may alternate in any way: the masks stay the same, unless there is no
        time for all of them.
        """
        starts = sorted(self.segmented)
        self._upwards_from |= set(starts)
        walks = []
        for below, start in zip([None, *starts], starts, strict=False):
            walks += [self._walk_up(start), self._walk_down(start, below)]
        return walks

    def _walk_up(self, start: int) -> Iterator[None]:
        yield from self._walk(start, 1)
        self._upwards_from.discard(start)

    def _walk_down(self, start: int, below: int | None) -> Iterator[None]:
        """The slices between two prompted slices belong first to the mask of the lower one."""
        while below in self._upwards_from:
            yield
        yield from self._walk(start, -1)

    def _walk(self, start: int, direction: int) -> Iterator[None]:
        """Propagate the mask of slice `start` in one direction, until the object ends."""
        mask = self.segmented[start] > 0.5
        ahead = self._ahead(start, direction)
        if not ahead or not mask.any():
            return
        clicked = self.slices.prototype(start, mask)
        for s in ahead:
            if not self.slices.embeddings.sequences_of(s):
                return
            background = self.prompts[s].background if s in self.prompts else ()
            prompt = SlicePrompt(initial_mask=mask, background=background)
            probabilities = self.slices.segment(s, prompt, PROPAGATING)
            if probabilities is None:
                self.is_complete = False
                return
            next_mask = probabilities > 0.5
            if not _overlap(mask, next_mask):
                return
            if not _alike(clicked, self.slices.prototype(s, next_mask)):
                return
            self.propagated[s], mask = probabilities, next_mask
            yield

    def _ahead(self, start: int, direction: int) -> Sequence[int]:
        """The slices until the next prompted slice, or the next slice that has a mask already."""
        ends = {s for s, prompt in self.prompts.items() if prompt.locates_label}
        slice_count = self.slices.embeddings.slice_count
        last = min(max(start + direction * self.max_slices, 0), slice_count - 1)
        ahead = range(start + direction, last + direction, direction)
        return _until_first(ahead, ends | self.propagated.keys())


def take_turns(walks: Iterable[Iterator[None]]) -> None:
    """Let walks make one step each, again and again, until all have ended."""
    remaining = list(walks)
    while remaining:
        remaining = [walk for walk in remaining if next(walk, _ENDED) is not _ENDED]


_ENDED = object()


def _until_first(slices: Iterable[int], ends: Collection[int]) -> list[int]:
    """The slices before the first one that is in `ends`."""
    return list(takewhile(lambda s: s not in ends, slices))


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
