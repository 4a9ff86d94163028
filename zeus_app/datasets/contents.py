"""What the files of a dataset hold: ranges of spacing, and voxels of each label."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from zeus_app.types import Grid

Number = TypeVar("Number", int, float)


@dataclass
class SequenceRange:
    """The images of one sequence.

    Attributes:
        cases: how many cases have the sequence, with a readable header.
        spacing_mm: smallest and largest voxel edge along each array axis.
        shape: smallest and largest number of voxels along each array axis.
    """

    cases: int = 0
    spacing_mm: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    shape: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())

    def add(self, grid: Grid) -> None:
        """Count one image."""
        spacing = tuple(round(value, 4) for value in grid.spacing_mm)
        if not self.cases:
            self.spacing_mm, self.shape = (spacing, spacing), (grid.shape, grid.shape)
        self.spacing_mm = (_least(self.spacing_mm[0], spacing), _most(self.spacing_mm[1], spacing))
        self.shape = (_least(self.shape[0], grid.shape), _most(self.shape[1], grid.shape))
        self.cases += 1


def _least(one: Sequence[Number], other: Sequence[Number]) -> tuple[Number, ...]:
    return tuple(map(min, one, other))


def _most(one: Sequence[Number], other: Sequence[Number]) -> tuple[Number, ...]:
    return tuple(map(max, one, other))


@dataclass
class LabelCounts:
    """Voxels of each value in the masks, as stored.

    Attributes:
        voxels: value -> voxels in all masks.
        cases: value -> cases that show it.
    """

    voxels: Counter[int] = field(default_factory=Counter)
    cases: Counter[int] = field(default_factory=Counter)

    def add(self, mask: npt.NDArray[np.generic]) -> None:
        """Count the values of one mask, but 0."""
        values, counts = np.unique(mask, return_counts=True)
        found = {int(v): int(n) for v, n in zip(values, counts, strict=True) if v != 0}
        self.voxels.update(found)
        self.cases.update(found.keys())
