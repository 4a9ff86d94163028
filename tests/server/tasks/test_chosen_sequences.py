"""A sequence that a request names and the study lacks is told, with those that the study has."""

from dataclasses import replace
from pathlib import Path

import pytest

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.server.tasks.chosen_sequences import (
    named_sequences,
    read_sequences,
    refuse_lacking,
    sequence_choices,
    sequences_of_texts,
    texts_to_store,
)
from zeus_app.targets import load_target
from zeus_app.types import StudyFiles, UnusedImage
from zeus_app.volumes.sources import ItkSource

BRAIN = load_target("brain_tumour")  # FLAIR, T1Gd, T1 and T2; label tumour
SOURCE = ItkSource(Path("x.nrrd"))
STUDY = StudyFiles("p1", {"FLAIR": SOURCE, "T1": SOURCE}, "p1")


def test_sequences_of_the_study_are_accepted() -> None:
    refuse_lacking((), STUDY)
    refuse_lacking(("T1", "FLAIR"), STUDY)


def test_a_sequence_that_the_study_lacks_is_named_and_so_are_those_it_has() -> None:
    with pytest.raises(InputError, match="the study has no T2; it has FLAIR, T1") as refused:
        refuse_lacking(("FLAIR", "T2"), STUDY)
    assert refused.value.status == 400


def test_a_sequence_that_the_study_goes_on_without_is_refused_with_the_reason() -> None:
    cut = UnusedImage((Path("t2.nii.gz"),), "T2: t2.nii.gz holds NaN")
    with pytest.raises(InputError, match="T2 of study 'p1', which cannot be used"):
        refuse_lacking(("T2",), replace(STUDY, unused=(cut,)))


def test_texts_name_the_sequences_of_their_keys_and_a_label_names_none() -> None:
    texts = {"T2/tumour": "bright", "T1Gd": "ring", "tumour": "large"}
    assert sequences_of_texts(texts, BRAIN) == ["T2", "T1Gd"]


@pytest.mark.parametrize("given", [None, {}, "T2", ["T2"], {"PD": "x"}, {3: "x"}])
def test_what_is_no_mapping_of_texts_names_no_sequence(given: object) -> None:
    assert sequences_of_texts(given, BRAIN) == []


def test_a_new_text_for_a_sequence_that_the_study_lacks_is_refused_with_the_label() -> None:
    with pytest.raises(InputError, match="the study has no T2"):
        texts_to_store({"T2/tumour": "bright"}, None, STUDY, BRAIN)
    with pytest.raises(InputError, match="instruction 'T9'"):
        texts_to_store({"T9": "bright"}, None, STUDY, BRAIN)


def test_stored_texts_may_be_sent_back() -> None:
    """A text for a label is stored for all sequences of the target."""
    stored = texts_to_store({"tumour": "large"}, None, STUDY, BRAIN)
    assert set(stored) == {"FLAIR/tumour", "T1Gd/tumour", "T1/tumour", "T2/tumour"}
    assert texts_to_store(stored, stored, STUDY, BRAIN) == stored


def test_clients_offer_all_sequences_first_then_each_and_each_pair() -> None:
    assert sequence_choices(load_target("prostate")) == [
        "all", "T2", "ADC", "HBV", "T2, ADC", "T2, HBV", "ADC, HBV",
    ]  # fmt: skip


def test_of_two_sequences_the_pair_is_all() -> None:
    assert sequence_choices(load_target("phantom")) == ["all", "T2", "FLAIR"]


@pytest.mark.parametrize(
    ("sent", "names"),
    [
        (None, ()),
        ("", ()),
        ([], ()),
        ("all", ()),
        ("All", ()),
        (sequence_choices(BRAIN), ()),  # a list as the client got it
        ("FLAIR", ("FLAIR",)),
        ("FLAIR, T1Gd", ("FLAIR", "T1Gd")),
        ("T1Gd,FLAIR,", ("T1Gd", "FLAIR")),
        (["FLAIR", "T2"], ("FLAIR", "T2")),
        (["FLAIR, T2", "FLAIR"], ("FLAIR", "T2")),
    ],
)
def test_a_choice_of_sequences_is_read(sent: object, names: tuple[str, ...]) -> None:
    assert read_sequences(sent, BRAIN) == names


def test_a_request_names_the_sequences_to_use_and_those_of_its_texts() -> None:
    texts = {"T2/tumour": "bright", "tumour": "large"}
    assert named_sequences("FLAIR", texts, BRAIN) == ("FLAIR", "T2")
    assert named_sequences("all", {}, BRAIN) == ()


def test_an_unknown_sequence_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="FLAIR, T1, T1Gd, T2"):
        read_sequences("FLAIR, T9", BRAIN)


def test_what_names_no_sequence_is_refused() -> None:
    with pytest.raises(InputError, match='"FLAIR, T1Gd"'):
        read_sequences(3, BRAIN)
