"""A quick check of two versions of the weights on slices that no step learns from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from zeus_app.training.cases import Case
from zeus_app.training.evaluator import Evaluator

MOST_SLICES = 20
"""Most slices of a check, which then takes a second or two. Half of them are of the newest case."""
_EVERY, _FIRST = 5, 2  # the third slice of a kind is held back, then every fifth
_LABELLED_SHARE = 2 / 3  # of the slices of a check; the others show labels drawn where none are

T = TypeVar("T")
Picks = Sequence[tuple[Case, Sequence[int]]]


def held_back(case: Case) -> list[int]:
    """Every fifth slice with a label, and every fifth slice with tissue but without a label.

    The rule is fixed, so that the next check of the same case has the same slices.
    """
    labelled, empty = _by_label(case, case.tissue_slices)
    return sorted([*labelled[_FIRST::_EVERY], *empty[_FIRST::_EVERY]])


@dataclass(frozen=True, eq=False)
class QuickCheck:
    """The slices that a check compares.

    Attributes:
        newest: slices of the newest case.
        others: slices of other cases.
    """

    newest: Picks
    others: Picks

    @property
    def slices(self) -> int:
        """How many slices are compared. With 0 no check is possible."""
        return sum(len(slices) for _, slices in (*self.newest, *self.others))

    def score(self, evaluator: Evaluator) -> float:
        """Mean of the DSC of the newest case and that of the others, in [0, 1].

        So the newest case weighs as much as all others, as in the steps.
        """
        groups = [picks for picks in (self.newest, self.others) if picks]
        return float(np.mean([evaluator.slices_dsc(picks) for picks in groups]))


def quick_check(newest: Case, others: Sequence[Case]) -> QuickCheck:
    """Choose at most `MOST_SLICES` held-back slices, spread over the cases and their slices."""
    half = MOST_SLICES // 2
    spread = _evenly(others, half)
    return QuickCheck(
        newest=_picks([newest], half if others else MOST_SLICES),
        others=_picks(spread, max(1, half // max(1, len(spread)))),
    )


def _picks(cases: Sequence[Case], slices_each: int) -> Picks:
    picks = [(case, _choose(case, slices_each)) for case in cases]
    return [(case, slices) for case, slices in picks if slices]


def _choose(case: Case, most: int) -> list[int]:
    """At most so many held-back slices of a case."""
    labelled, empty = _by_label(case, held_back(case))
    with_label = _evenly(labelled, max(math.ceil(_LABELLED_SHARE * most), most - len(empty)))
    return sorted([*with_label, *_evenly(empty, most - len(with_label))])


def _by_label(case: Case, slices: Sequence[int]) -> tuple[list[int], list[int]]:
    """The slices with a label, and those without."""
    labelled = [s for s in slices if case.shows[s].any()]
    return labelled, [s for s in slices if s not in labelled]


def _evenly(items: Sequence[T], most: int) -> list[T]:
    """At most so many items, evenly spaced from the first to the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, most)]
