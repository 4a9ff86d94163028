"""Prepared studies with their masks, and the order in which slices are drawn from them."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from zeus_app.protocols import Batch, Prepared
from zeus_app.types import BoolArray, LabelArray

SMALL_PX = 64
"""Area of 2×2 cells of the embedding, in pixels. The embedding hardly shows smaller structures."""
SAMPLED_SLICES = 10
"""Slices of each case on which structures are measured."""


@dataclass(frozen=True, eq=False)
class Case:
    """A study to train on or to validate on.

    Attributes:
        id: the study's id.
        prepared: its embeddings and instructions.
        packed_masks: (S, bytes) uint8, `np.packbits` of (S, K·256·256): an eighth of the memory.
        shows: (S, K) bool, whether a slice shows a label.
        mask_shape: (K, 256, 256).
    """

    id: str
    prepared: Prepared
    packed_masks: LabelArray
    shows: BoolArray
    mask_shape: tuple[int, ...]

    def masks(self, slices: Sequence[int]) -> torch.Tensor:
        """(B, K, 256, 256) bool masks of these slices."""
        flat = np.unpackbits(self.packed_masks[list(slices)], axis=1)
        flat = flat[:, : int(np.prod(self.mask_shape))]
        return torch.from_numpy(flat.reshape(-1, *self.mask_shape)).bool()

    @property
    def digest(self) -> str:
        """Hash of masks and instructions. A corrected label or another instruction changes it."""
        digest = hashlib.blake2b(self.packed_masks.tobytes(), digest_size=8)
        digest.update(repr(self.prepared.instructions).encode())
        return digest.hexdigest()

    @property
    def tissue_slices(self) -> list[int]:
        """Slices with tissue in at least one branch. Other slices are never drawn or decoded."""
        return [int(index) for index in np.flatnonzero(self.prepared.present.any(axis=1))]


@dataclass(frozen=True, eq=False)
class TrainingCases:
    """The cases of one training.

    Attributes:
        train: cases to learn from.
        validation: cases of held-back patients.
        skipped: study id -> reason why the study cannot be used.
        unvalidated: reason why `validation` is empty; "" if it is not.
        prepare_seconds: wall-clock time of preparing the cases; None if it was not measured.
    """

    train: Sequence[Case]
    validation: Sequence[Case] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    unvalidated: str = ""
    prepare_seconds: float | None = None


def make_case(study_id: str, prepared: Prepared, masks: LabelArray) -> Case:
    """Make a case from (S, K, 256, 256) uint8 masks in {0, 1}."""
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
    """Draw one epoch: as many (case, slice) picks as there are slices with tissue.

    Args:
        cases: cases to draw from.
        size: slices per batch. The last batch may be smaller.
        foreground: share of picks that show a label, if slices with and without labels exist.
            0 draws every slice exactly once.
        rng: random generator of the order.

    Yields:
        Batches of (index into `cases`, axial slice).
    """
    slices = np.array([(c, s) for c, case in enumerate(cases) for s in case.tissue_slices])
    shows = np.array([cases[c].shows[s].any() for c, s in slices])
    weights = draw_weights(shows, foreground)
    if weights is None:
        order = rng.permutation(len(slices))
    else:
        order = rng.choice(len(slices), size=len(slices), p=weights)
    for start in range(0, len(order), size):
        yield [(int(c), int(s)) for c, s in slices[order[start : start + size]]]


def draw_weights(shows: BoolArray, foreground: float) -> npt.NDArray[np.float64] | None:
    """Probability of drawing each slice.

    Args:
        shows: (N,) whether a slice shows a label.
        foreground: share of drawn slices that show a label.

    Returns:
        (N,) with sum 1; None if all slices are equally likely, because `foreground` is 0 or slices
        with and without labels do not both exist.
    """
    if foreground == 0 or not shows.any() or shows.all():
        return None
    labelled, empty = foreground / shows.sum(), (1 - foreground) / (~shows).sum()
    return np.where(shows, labelled, empty).astype(np.float64)


def collate(cases: Sequence[Case], picks: Sequence[tuple[int, int]]) -> tuple[Batch, torch.Tensor]:
    """Join (case, slice) picks into one batch, and their masks into (B, K, 256, 256) bool."""
    parts = [cases[c].prepared.batch([s]) for c, s in picks]
    batch = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    return batch, torch.cat([cases[c].masks([s]) for c, s in picks])


def has_small_structures(cases: Sequence[Case]) -> bool:
    """Whether half of the labels' connected parts on slices are smaller than `SMALL_PX`."""
    areas: list[int] = []
    for case in cases:
        slices = np.flatnonzero(case.shows.any(axis=1))
        for s in slices[:: max(1, len(slices) // SAMPLED_SLICES)]:
            for mask in case.masks([int(s)])[0].numpy():
                parts, count = ndimage.label(mask)
                areas += np.bincount(parts.ravel(), minlength=count + 1)[1:].tolist()
    return bool(areas) and float(np.median(areas)) < SMALL_PX
