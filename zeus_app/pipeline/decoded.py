"""Label maps of opened studies, so that a repeated inference decodes nothing."""

from collections.abc import Hashable
from dataclasses import dataclass
from itertools import accumulate
from weakref import WeakKeyDictionary

from zeus_app.types import Guidance, Instruction, LabelArray, SliceStack


@dataclass(frozen=True, eq=False)
class DecodedStudy:
    """What the model makes of a study.

    Attributes:
        maps: (1 + M, X, Y, S) label indices on the canonical grid: the union, then each branch.
        instructions: the texts behind the masks.
    """

    maps: LabelArray
    instructions: tuple[Instruction, ...]


class DecodedCache:
    """The newest `DecodedStudy` of each opened study.

    An entry lives as long as the study's slices: it goes when the slice-stack cache evicts them.

    Args:
        limit_bytes: bound on all label maps together. The newest entry stays whatever its size.
    """

    def __init__(self, *, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._entries: WeakKeyDictionary[SliceStack, tuple[Hashable, DecodedStudy]] = (
            WeakKeyDictionary()
        )

    def get(self, stack: SliceStack, version: str, guidance: Guidance) -> DecodedStudy | None:
        """The label maps that these weights and this guidance gave, if they are the newest."""
        entry = self._entries.get(stack)
        return entry[1] if entry and entry[0] == _key(version, guidance) else None

    def save(
        self, stack: SliceStack, version: str, guidance: Guidance, decoded: DecodedStudy
    ) -> None:
        """Replace the study's entry, and drop the oldest entries above the limit."""
        self._entries.pop(stack, None)  # so that the new entry comes last
        self._entries[stack] = (_key(version, guidance), decoded)
        newest_first = list(self._entries.items())[::-1]
        sizes = accumulate(entry.maps.nbytes for _, (_, entry) in newest_first)
        for (old, _), size in list(zip(newest_first, sizes, strict=True))[1:]:
            if size > self._limit:
                self._entries.pop(old, None)


def _key(version: str, guidance: Guidance) -> Hashable:
    return version, guidance.scope, tuple(sorted(guidance.texts.items()))
