"""Whether the words of a name say that an image was taken before or after contrast was given."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zeus_app.recognition.words import Word

_REACH = 3  # words between "without" or "before" and the word for contrast


@dataclass(frozen=True)
class Contrast:
    """What a name says about contrast.

    Attributes:
        is_after: whether it says that contrast was given.
        is_before: whether it says that contrast was not given, or not yet.
        is_native: whether `is_before` rests on a word such as "native" alone.
        names_agent: whether the contrast agent itself is named.
    """

    is_after: bool = False
    is_before: bool = False
    is_native: bool = False
    names_agent: bool = False

    def t1(self, *, says_gd: bool) -> tuple[str, ...]:
        """T1, T1Gd, or both if that is unclear.

        Args:
            says_gd: whether the word for the weighting itself says T1 after contrast, as `t1c`.
        """
        if says_gd:
            # `t1c_native` is a T1Gd on its native grid.
            return ("T1", "T1Gd") if self.is_before and not self.is_native else ("T1Gd",)
        if self.is_after and self.is_before:
            return ("T1", "T1Gd")
        return ("T1Gd" if self.is_after else "T1",)


def contrast_of(words: Sequence[Word]) -> Contrast:
    """What the words say about contrast."""
    said = {at: word.value for at, word in enumerate(words) if word.facet == "contrast"}
    turned = frozenset(_turned(said, len(words)))
    values = set(said.values())
    after = {value for at, value in said.items() if at not in turned}
    return Contrast(
        is_after=bool(after & {"agent", "given", "after", "both"}),
        is_before=bool(values & {"before", "native", "both"} or turned),
        is_native="native" in values and not (values & {"before", "both"} or turned),
        names_agent="agent" in values,
    )


def _turned(said: "dict[int, str]", count: int) -> Iterator[int]:
    """Positions of words that "without" or "before" turn round.

    `without contrast`, `ohne iv KM` and `pre contrast` do so with what follows; `kontrast öncesi`,
    and `KM ohne` at the end, with what precedes.

    Args:
        said: position -> value of the words for contrast.
        count: number of words of the name.
    """
    for at, value in said.items():
        if value in {"without", "before"}:
            takes = {"agent", "given", "after"} if value == "without" else {"agent", "given"}
            following = [i for i in range(at + 1, at + 1 + _REACH) if said.get(i) in takes]
            is_last = at == count - 1 or value == "before"
            preceding = [at - 1] if is_last and said.get(at - 1) in {"agent", "given"} else []
            yield from following or preceding
