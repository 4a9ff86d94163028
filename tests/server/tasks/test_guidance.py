"""A user's own texts: for a label in one sequence, for a label everywhere, for a whole sequence."""

import logging

import pytest

from zeus_app.errors import InputError
from zeus_app.server.tasks.guidance import read_stored_texts, read_texts
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
