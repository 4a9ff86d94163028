"""Some words count in some places of a name alone."""

import pytest

from zeus_app.recognition.context import in_context
from zeus_app.recognition.vocabulary import shipped_vocabulary
from zeus_app.recognition.words import split_words


def meanings(name: str, *, is_description: bool = False) -> dict[str, str]:
    """Word -> its facet."""
    vocabulary = shipped_vocabulary()
    words = in_context(split_words(name, vocabulary), vocabulary, is_description=is_description)
    return {word.text: word.facet for word in words}


@pytest.mark.parametrize("word", ["fa", "md", "mt", "ff", "ve", "r2", "ph"])
def test_short_words_between_a_weighting_and_the_end_are_settings(word: str) -> None:
    assert meanings(f"t1_vibe_{word}_tra")[word] == ""
    assert meanings(f"t1_vibe_tra_{word}")[word] == "weighting"
    assert meanings(f"t1_vibe_tra_{word}_7")[word] == "weighting"
    assert meanings(f"anna_{word}_to_T1")[word] == "weighting"
    assert meanings(f"dti_{word}_x")[word] == "weighting"


@pytest.mark.parametrize(
    "name", ["PD_012_T1", "SUB_001_FLAIR", "pilot_3_T2", "site_CT_01_T1", "sub_001", "MRS_7_mprage"]
)
def test_a_word_before_a_number_and_a_weighting_is_a_patients_group(name: str) -> None:
    assert "weighting" not in list(meanings(name).values())[:-1]


@pytest.mark.parametrize("name", ["PD_012", "SUB_T1", "T2_001_T1", "DWI_1000_ADC", "localizer_3"])
def test_other_words_for_sequences_stay(name: str) -> None:
    assert "weighting" in list(meanings(name).values())[:1]


def test_a_description_names_no_group() -> None:
    assert meanings("SUB 1 T1", is_description=True)["sub"] == "weighting"


def test_centimetres_are_no_contrast_medium() -> None:
    assert meanings("T1 FOV 24 cm")["cm"] == ""
    assert meanings("T1 CM")["cm"] == "contrast"


def test_a_plus_at_the_end_is_contrast() -> None:
    assert meanings("T1 ax +")["+"] == "contrast"
    assert meanings("dyn 1+5")["+"] == ""


def test_the_t1_images_of_mp2rage_are_a_map() -> None:
    assert meanings("t1_mp2rage_sag_T1_Images")["images"] == "weighting"
    assert meanings("T1_Images")["images"] == "neutral"
    assert meanings("images")["images"] == "neutral"
