"""Label maps of opened studies, so that a repeated inference decodes nothing."""

from collections.abc import Hashable
from dataclasses import dataclass
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
    """

    def __init__(self) -> None:
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
        """Replace the study's entry."""
        self._entries[stack] = (_key(version, guidance), decoded)


def _key(version: str, guidance: Guidance) -> Hashable:
    return version, guidance.scope, tuple(sorted(guidance.texts.items()))
