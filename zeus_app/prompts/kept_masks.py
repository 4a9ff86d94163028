"""Masks of single slices that a further click need not make again: KeptMasks.

A slice's mask depends on its pictures and on its prompts alone. In a propagation, the mask of the
neighbouring slice is one of these prompts. So a mask is kept under all prompts that made it, and
the next request takes it from here as long as none of them has changed.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import count
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from zeus_app.prompts.types import SlicePrompt
from zeus_app.types import PICTURE_PX, FloatArray, SliceStack

Arrays = tuple[npt.NDArray[np.generic], ...]
_ENTRY_BYTES = 512  # of a key and of the objects around the arrays


@dataclass(eq=False)
class _Entry:
    arrays: Arrays
    used: int

    @property
    def nbytes(self) -> int:
        return _ENTRY_BYTES + sum(array.nbytes for array in self.arrays)


@dataclass(eq=False)
class _StudyEntries:
    """The entries of one study, the least recently used first."""

    entries: OrderedDict[Hashable, _Entry] = field(default_factory=OrderedDict)
    nbytes: int = 0


class KeptMasks:
    """An LRU cache of arrays in memory, which belong to the slices of opened studies.

    An entry goes with its study's slices, for example when the study's files have changed.

    Args:
        limit_bytes: bound on all entries together; 0 keeps nothing.
    """

    def __init__(self, *, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._uses = count()
        self._studies: WeakKeyDictionary[SliceStack, _StudyEntries] = WeakKeyDictionary()

    @property
    def nbytes(self) -> int:
        """Bytes of all entries."""
        return sum(study.nbytes for study in list(self._studies.values()))

    def get(self, stack: SliceStack, key: Hashable) -> Arrays | None:
        """The arrays that were kept under a key for these slices; None if there are none."""
        with self._lock:
            study = self._studies.get(stack)
            entry = study.entries.get(key) if study else None
            if study is None or entry is None:
                return None
            study.entries.move_to_end(key)
            entry.used = next(self._uses)
            return entry.arrays

    def put(self, stack: SliceStack, key: Hashable, arrays: Arrays) -> None:
        """Keep arrays, and drop the least recently used entries above the limit."""
        with self._lock:
            study = self._studies.setdefault(stack, _StudyEntries())
            if (old := study.entries.pop(key, None)) is not None:
                study.nbytes -= old.nbytes
            study.entries[key] = entry = _Entry(arrays, next(self._uses))
            study.nbytes += entry.nbytes
            self._drop_above_limit()

    def _drop_above_limit(self) -> None:
        # Listed once, because a study may go at any moment.
        studies = list(self._studies.values())
        while sum(study.nbytes for study in studies) > self._limit:
            studies = [study for study in studies if study.entries]
            oldest = min(studies, key=lambda study: next(iter(study.entries.values())).used)
            _, entry = oldest.entries.popitem(last=False)
            oldest.nbytes -= entry.nbytes


def prompt_key(prompt: SlicePrompt) -> Hashable:
    """Equal for prompts that are equal in every point, in the box, and in the initial mask."""
    mask = prompt.initial_mask
    digest = None if mask is None else hashlib.blake2b(np.packbits(mask).tobytes()).digest()
    return prompt.foreground, prompt.background, prompt.box, digest


def crop(probabilities: FloatArray) -> Arrays:
    """(256, 256) probabilities -> the first row and column, and the part that is not 0."""
    rows, cols = (np.flatnonzero(probabilities.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return np.zeros(2, np.int64), np.zeros((0, 0), np.float32)
    part = probabilities[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    return np.array([rows[0], cols[0]]), part.copy()


def uncrop(arrays: Arrays) -> FloatArray:
    """The (256, 256) float32 probabilities that `crop` was given."""
    (row, col), part = arrays[0].tolist(), arrays[1]
    probabilities = np.zeros((PICTURE_PX, PICTURE_PX), np.float32)
    probabilities[row : row + part.shape[0], col : col + part.shape[1]] = part
    return probabilities
