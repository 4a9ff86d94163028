"""A user's own texts: for a label in one sequence, for a label everywhere, for a whole sequence."""

import logging

import pytest

from zeus_app.errors import InputError
from zeus_app.instructions.own_texts import read_stored_texts, read_texts
from zeus_app.targets import load_target

PHANTOM = load_target("phantom")  # T2 and FLAIR; lesion and cyst


def test_a_pair_names_a_label_in_a_sequence() -> None:
    assert read_texts({"FLAIR/lesion": "bright"}, PHANTOM) == {("FLAIR", "lesion"): "bright"}


def test_a_label_alone_is_meant_in_every_sequence() -> None:
    assert read_texts({"lesion": "round"}, PHANTOM) == {
        ("T2", "lesion"): "round",
        ("FLAIR", "lesion"): "round",
    }


def test_a_sequence_alone_is_meant_for_every_label() -> None:
    assert read_texts({"T2": "look twice"}, PHANTOM) == {
        ("T2", "lesion"): "look twice",
        ("T2", "cyst"): "look twice",
    }


def test_the_more_exact_text_wins_in_whatever_order_they_come() -> None:
    texts = {"T2/lesion": "pair", "lesion": "label", "T2": "sequence"}
    expected = {
        ("T2", "lesion"): "pair",
        ("FLAIR", "lesion"): "label",
        ("T2", "cyst"): "sequence",
    }
    assert read_texts(texts, PHANTOM) == expected
    assert read_texts(dict(reversed(texts.items())), PHANTOM) == expected


def test_a_pair_wins_with_a_single_sequence_too() -> None:
    target = PHANTOM.only(("T2",))
    texts = read_texts({"T2/lesion": "pair", "lesion": "label"}, target)
    assert texts == {("T2", "lesion"): "pair"}


@pytest.mark.parametrize("given", [
    {"T1": "a"}, {"T2/": "a"}, {"/lesion": "a"}, {"T2/tumour": "a"}, {"lesion/T2": "a"},
    {"lesion": ""}, {"lesion": " "}, {"lesion": 3}, {3: "a"}, ["lesion"], "lesion",
])  # fmt: skip
def test_what_names_nothing_or_says_nothing_is_refused(given: object) -> None:
    with pytest.raises(InputError, match="sequences are T2, FLAIR; labels are lesion, cyst"):
        read_texts(given, PHANTOM)


def test_a_stored_text_for_a_sequence_that_the_target_lacks_is_skipped_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stored = {"FLAIR/lesion": "bright", "T2/lesion": "dark"}
    with caplog.at_level(logging.WARNING):
        texts = read_stored_texts(stored, PHANTOM.only(("T2",)))
    assert texts == {("T2", "lesion"): "dark"}
    assert "FLAIR/lesion is skipped" in caplog.text


def test_a_text_longer_than_the_limit_is_refused_with_the_limit() -> None:
    read_texts({"lesion": "x" * 2000}, PHANTOM)
    with pytest.raises(InputError, match=r"2001 characters.*at most 2000 characters") as caught:
        read_texts({"lesion": "x" * 2001}, PHANTOM)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("stored", ["x", ["lesion"], 3, {"lesion": "x" * 1_000_000}, {"lesion": 3},
                                    {"lesion": ""}, {"lesion": None}])  # fmt: skip
def test_stored_texts_that_cannot_be_used_are_skipped_and_logged(
    stored: object, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert read_stored_texts(stored, PHANTOM) == {}
    assert "skipped" in caplog.text
    assert len(caplog.text) < 1000


def test_the_other_texts_of_a_label_stay() -> None:
    stored = {"T2/lesion": 3, "FLAIR/lesion": "bright"}
    assert read_stored_texts(stored, PHANTOM) == {("FLAIR", "lesion"): "bright"}
