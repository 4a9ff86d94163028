"""T1 and T2 may be time points; a word that is there twice shows it."""

import pytest

from zeus_app.studies.time_points import time_points, unclear_points
from zeus_app.targets import load_target
from zeus_app.targets.naming import Names

NAMES = Names.of(load_target("brain_tumour"))


def points(*names: str) -> dict[str, str]:
    """Name -> what precedes the description: the patient and the time point."""
    return {name: name[:end] for name, end in time_points(names, NAMES).items()}


def test_a_word_that_is_there_twice_shows_time_points() -> None:
    assert points("P01_T1_t1", "P01_T1_flair", "P01_T2_t1", "P01_T2_t2", "notes") == {
        "P01_T1_t1": "P01_T1", "P01_T1_flair": "P01_T1", "P01_T2_t1": "P01_T2",
        "P01_T2_t2": "P01_T2",
    }  # fmt: skip


def test_names_with_each_weighting_once_have_no_time_points() -> None:
    assert points("anna_T1", "anna_T2", "anna_T2_FLAIR", "anna_T1_post") == {}


def test_one_time_point_alone_is_none() -> None:
    assert points("anna_T1_t1", "anna_T1_t2") == {}


def test_time_points_from_zero_to_five_are_known() -> None:
    assert points("a_T0_flair", "a_T3_t1", "a_T1_t1")["a_T0_flair"] == "a_T0"


def test_a_name_that_ends_with_the_word_has_no_time_point() -> None:
    assert "anna_T1" not in points("anna_T1", "P_T1_t1", "P_T2_t1")


@pytest.mark.parametrize(
    ("names", "unclear"),
    [
        (["P01_T1_flair", "P01_T2_flair"], {"P01_T1_flair"}),
        (["anna_T1_FLAIR", "anna_t2_flair"], {"anna_T1_FLAIR"}),
        (["01_T1_flair", "01_T2_flair"], {"01_T1_flair"}),
        (["P01_T1_flair", "P01_flair"], set()),
        (["P01_T1_flair", "P02_T2_flair"], set()),
        (["T1_flair", "T2_flair"], set()),
        (["AX_T1_flair", "AX_T2_flair"], set()),
        (["P01_T1_gd", "P01_T2_gd"], set()),
    ],
)
def test_a_t1_flair_beside_a_t2_flair_may_be_a_time_point(
    names: list[str], unclear: set[str]
) -> None:
    assert unclear_points(names, NAMES) == unclear
