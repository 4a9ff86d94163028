"""Prepared studies with their masks, and the order in which their slices are drawn."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from zeus_app.protocols import Batch, Prepared
from zeus_app.types import BoolArray, LabelArray


@dataclass(frozen=True, eq=False)
class Case:
    """A study to learn from or to judge by.

    Attributes:
        id: the study's.
        prepared: its embeddings and instructions.
        packed_masks: (S, bytes) uint8, `np.packbits` of (S, K·256·256): an eighth of the memory.
        shows: (S, K) bool, which labels a slice shows.
        mask_shape: (K, 256, 256).
    """

    id: str
    prepared: Prepared
    packed_masks: LabelArray
    shows: BoolArray
    mask_shape: tuple[int, ...]

    def masks(self, slices: Sequence[int]) -> torch.Tensor:
        """(B, K, 256, 256) bool."""
        flat = np.unpackbits(self.packed_masks[list(slices)], axis=1)
        flat = flat[:, : int(np.prod(self.mask_shape))]
        return torch.from_numpy(flat.reshape(-1, *self.mask_shape)).bool()

    @property
    def digest(self) -> str:
        """Names what is learnt: another when a label was corrected, or an instruction changed."""
        digest = hashlib.blake2b(self.packed_masks.tobytes(), digest_size=8)
        digest.update(repr(self.prepared.instructions).encode())
        return digest.hexdigest()

    @property
    def seen(self) -> list[int]:
        """Slices with tissue in at least one branch; the others teach nothing and cost nothing."""
        return [int(index) for index in np.flatnonzero(self.prepared.present.any(axis=1))]


def make_case(study_id: str, prepared: Prepared, masks: LabelArray) -> Case:
    """A case from (S, K, 256, 256) uint8 masks in {0, 1}."""
    slices, *mask_shape = masks.shape
    return Case(
        id=study_id,
        prepared=prepared,
        packed_masks=np.packbits(masks.reshape(slices, -1), axis=1),
        shows=masks.any(axis=(2, 3)),
        mask_shape=tuple(mask_shape),
    )


def draw_batches(
    cases: Sequence[Case], *, size: int, foreground: float, rng: np.random.Generator
) -> Iterator[list[tuple[int, int]]]:
    """One epoch: as many (case, slice) draws as there are slices with tissue.

    Args:
        cases: to draw from.
        size: slices a batch; the last one may be smaller.
        foreground: share of draws that show a label, where both kinds exist; 0 draws every slice
            exactly once.
        rng: source of the order.
    """
    places = np.array([(c, s) for c, case in enumerate(cases) for s in case.seen])
    shows = np.array([cases[c].shows[s].any() for c, s in places])
    if foreground > 0 and shows.any() and not shows.all():
        weights = np.where(shows, foreground / shows.sum(), (1 - foreground) / (~shows).sum())
        order = rng.choice(len(places), size=len(places), p=weights / weights.sum())
    else:
        order = rng.permutation(len(places))
    for start in range(0, len(order), size):
        yield [(int(c), int(s)) for c, s in places[order[start : start + size]]]


def collate(cases: Sequence[Case], picks: Sequence[tuple[int, int]]) -> tuple[Batch, torch.Tensor]:
    """Join slices of several studies into one batch, and their masks (B, K, 256, 256) bool."""
    parts = [cases[c].prepared.batch([s]) for c, s in picks]
    batch = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    return batch, torch.cat([cases[c].masks([s]) for c, s in picks])
