"""Before contrast, after it, or unclear."""

import pytest

from zeus_app.recognition.contrast import Contrast, contrast_of
from zeus_app.recognition.vocabulary import shipped_vocabulary
from zeus_app.recognition.words import split_words


def said(name: str) -> Contrast:
    return contrast_of(split_words(name, shipped_vocabulary()))


@pytest.mark.parametrize(
    "name", ["post", "T1 ax KM", "T1 +C", "C+", "Gadovist", "T1 10 ml gado", "nach KM"]
)
def test_a_word_for_contrast_means_after_it(name: str) -> None:
    contrast = said(name)
    assert (contrast.is_after, contrast.is_before) == (True, False)


@pytest.mark.parametrize(
    "name",
    [
        "pre", "pre contrast", "pre iv contrast", "without contrast", "ohne i.v. KM", "KM ohne",
        "no Gd", "w/o gado", "sans injection", "T1 GD PRE", "kontrast öncesi", "non enhanced", "C-",
        "nativ", "bez kontrastu",
    ],
)  # fmt: skip
def test_a_word_for_without_or_before_turns_the_next_word_for_contrast(name: str) -> None:
    contrast = said(name)
    assert (contrast.is_after, contrast.is_before) == (False, True)


@pytest.mark.parametrize(
    "name",
    [
        "pre and post",
        "Pre/Post",
        "w/wo",
        "nativ und KM",
        "post minus pre",
        "avec et sans gado",
        "native Gd",
    ],
)
def test_words_for_both_are_both(name: str) -> None:
    contrast = said(name)
    assert (contrast.is_after, contrast.is_before) == (True, True)


@pytest.mark.parametrize("name", ["T1 ax", "", "without", "T2", "basal ganglia", "c-spine"])
def test_other_words_say_nothing_about_contrast_given(name: str) -> None:
    assert not said(name).is_after


def test_without_reaches_three_words() -> None:
    assert not said("without any iv contrast").is_after
    assert said("without fat sat 3mm ax contrast").is_after


def test_the_agent_is_told_from_other_words() -> None:
    assert said("Gd").names_agent
    assert not said("contrast").names_agent


@pytest.mark.parametrize(
    ("name", "says_gd", "expected"),
    [
        ("", False, ("T1",)),
        ("pre", False, ("T1",)),
        ("post", False, ("T1Gd",)),
        ("pre post", False, ("T1", "T1Gd")),
        ("", True, ("T1Gd",)),
        ("native", True, ("T1Gd",)),
        ("pre", True, ("T1", "T1Gd")),
        ("without contrast", True, ("T1", "T1Gd")),
    ],
)
def test_a_t1_is_after_contrast_before_it_or_unclear(
    name: str, *, says_gd: bool, expected: tuple[str, ...]
) -> None:
    assert said(name).t1(says_gd=says_gd) == expected
