"""The slices of a quick check are fixed, few, and spread over labels and cases."""

from typing import cast

import numpy as np

from tests.training.conftest import TinyPrepared, tiny_case
from zeus_app.training.cases import Case, make_case
from zeus_app.training.evaluator import Evaluator
from zeus_app.training.quick_check import Picks, QuickCheck, held_back, quick_check


def labelled_case(slices: int, labelled: int) -> Case:
    """The first slices show the label; all slices show tissue."""
    masks = np.zeros((slices, 1, 4, 4), np.uint8)
    masks[:labelled] = 1
    pixels = np.ones((slices, 1, 4, 4), np.float32)
    return make_case(f"{slices}", TinyPrepared(np.ones((slices, 1), bool), pixels), masks)


def slices_of(picks: Picks) -> list[list[int]]:
    return [list(slices) for _, slices in picks]


def test_every_fifth_slice_with_a_label_and_every_fifth_without_is_held_back() -> None:
    # With a label: 0 to 9. Without: 10 to 19. The third of each kind is the first.
    assert held_back(labelled_case(20, labelled=10)) == [2, 7, 12, 17]


def test_slices_without_tissue_are_not_held_back() -> None:
    masks = np.zeros((6, 1, 4, 4), np.uint8)
    tissue = np.array([[False], [True], [True], [True], [True], [True]])
    case = make_case("a", TinyPrepared(tissue, np.ones((6, 1, 4, 4), np.float32)), masks)
    assert held_back(case) == [3]


def test_a_case_of_two_slices_is_learnt_whole() -> None:
    assert held_back(labelled_case(2, labelled=2)) == []
    assert quick_check(labelled_case(2, labelled=2), []).slices == 0


def test_a_check_has_twenty_slices_and_half_of_them_are_of_the_newest_case() -> None:
    others = [labelled_case(100, labelled=50), labelled_case(90, labelled=50)]
    check = quick_check(labelled_case(200, labelled=100), others)
    assert [len(slices) for slices in slices_of(check.newest)] == [10]
    assert [len(slices) for slices in slices_of(check.others)] == [5, 5]
    assert check.slices == 20


def test_of_many_other_cases_ten_are_checked_on_a_slice_with_a_label_each() -> None:
    others = [labelled_case(50, labelled=25) for _ in range(30)]
    check = quick_check(labelled_case(200, labelled=100), others)
    # Held back with a label: 2, 7, 12, 17, 22.
    assert slices_of(check.others) == [[2]] * 10


def test_two_thirds_of_the_checked_slices_show_a_label() -> None:
    # Held back: 20 slices with a label, 20 without; 7 of the 10 show it, and 3 do not.
    check = quick_check(labelled_case(200, labelled=100), [labelled_case(10, labelled=5)])
    ((newest, slices),) = check.newest
    assert sum(bool(newest.shows[s].any()) for s in slices) == 7
    assert len(slices) == 10


def test_the_newest_case_weighs_as_much_as_all_others() -> None:
    scores = {"newest": 0.9, "others": 0.5}

    class Scores:
        def slices_dsc(self, picks: Picks) -> float:
            return scores["newest" if picks[0][0].id == "new" else "others"]

    evaluator = cast(Evaluator, Scores())
    new, old = tiny_case("new"), tiny_case("old")
    both = QuickCheck(newest=[(new, [2])], others=[(old, [2]), (old, [3])])
    assert both.score(evaluator) == (0.9 + 0.5) / 2
    assert QuickCheck(newest=[(new, [2])], others=[]).score(evaluator) == 0.9
