import pytest

from zeus_app.errors import UnknownNameError
from zeus_app.settings.registry import closest, lookup

TOWERS = {"lite-medsam": 1, "sam": 2}


def test_a_known_name_gives_its_value() -> None:
    assert lookup("tower", "sam", TOWERS) == 2


def test_an_unknown_name_is_answered_with_the_known_ones_in_order() -> None:
    with pytest.raises(UnknownNameError, match="Expected: lite-medsam, sam"):
        lookup("tower", "resnet", TOWERS)


def test_a_misspelt_name_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'lite-medsam'"):
        lookup("tower", "lite-medsm", TOWERS)


def test_a_name_like_no_other_is_answered_with_the_kind() -> None:
    with pytest.raises(UnknownNameError, match="choose one of these"):
        lookup("tower", "zzzz", TOWERS)


def test_the_message_repeats_kind_and_name() -> None:
    with pytest.raises(UnknownNameError, match="unknown tower 'zzzz'"):
        lookup("tower", "zzzz", TOWERS)


def test_an_empty_table_says_that_nothing_is_known() -> None:
    with pytest.raises(UnknownNameError, match="no tower is known"):
        lookup("tower", "sam", {})


def test_case_matters() -> None:
    with pytest.raises(UnknownNameError):
        lookup("tower", "SAM", TOWERS)


def test_the_closest_name_is_told_whatever_its_capitals() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'sam'"):
        lookup("tower", "SAM", TOWERS)


def test_of_names_that_are_all_unlike_the_least_unlike_is_the_closest() -> None:
    assert closest("salmon", TOWERS) == "sam"
    assert closest("salmon", TOWERS, least=0.9) == ""
    assert closest("salmon", []) == ""
