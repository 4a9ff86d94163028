"""Names are split into words of the vocabulary, and into nothing else."""

import pytest

from zeus_app.recognition.vocabulary import shipped_vocabulary
from zeus_app.recognition.words import B_VALUE, ENTITY, NUMBER, Word, split_words


def split(name: str) -> tuple[Word, ...]:
    return split_words(name, shipped_vocabulary())


def texts(name: str) -> list[str]:
    return [word.text for word in split(name)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AX_T1-post 3mm", ["ax", "t1", "post", "3mm"]),
        ("t1mprage", ["t1", "mprage"]),
        ("AXT2FLAIRFS", ["ax", "t2flair", "fs"]),
        ("patient07T1POST", ["patient07", "t1", "post"]),
        ("annaT1c", ["anna", "t1c"]),
        ("T1Post2", ["t1", "post", "2"]),
        ("FLAIR2", ["flair", "2"]),
        ("T1增强", ["t1", "增强"]),
        ("20200101_123456t1mprsagps003a001",
         ["20200101", "123456t1mprsagp", "s003a001"]),
        ("123456t1mpragesags003a1001", ["123456", "t1", "mpragesag", "s003a1001"]),
    ],
)  # fmt: skip
def test_words_end_at_signs_and_where_other_words_begin(name: str, expected: list[str]) -> None:
    assert texts(name) == expected


@pytest.mark.parametrize("name", ["T1xyz", "xyzt1", "art1sum", "T10", "flairway", "segue", "T1t"])
def test_a_run_that_is_not_made_of_words_is_one_unknown_word(name: str) -> None:
    assert [(word.text, word.facet) for word in split(name)] == [(name.lower(), "")]


@pytest.mark.parametrize(
    "name",
    [
        "Cortino", "Fano", "Nord", "Noot", "Metz", "Grotte", "Dirven", "Tofiq", "Ceres", "Corbat",
        "Werd", "Swart", "Cendon", "Ticineto", "Dessart", "Aidyn", "Vento", "Caltrano", "Adcon",
        "Swiss", "Maria", "Sagan", "Petra", "Adcock", "Axelrod", "Bhutan", "Gadot", "Vegt",
        "Tripti", "Andonno",
    ],
)  # fmt: skip
def test_surnames_first_names_and_places_are_not_split(name: str) -> None:
    for spelled in (name, name.lower(), name.upper()):
        assert [word.facet for word in split(spelled)] == [""]


@pytest.mark.parametrize("name", ["lesionmask", "manualseg", "ManualSegmentation", "tumourMask3"])
def test_long_words_without_a_mark_between_them_are_split(name: str) -> None:
    assert "mask" in {word.facet for word in split(name)}


def test_a_longer_phrase_counts_before_its_words() -> None:
    assert [word.meaning for word in split("t2_space_dark-fluid")] == [
        ("weighting", "T2"), ("neutral", "technique"), ("weighting", "FLAIR"),
    ]  # fmt: skip
    assert [word.meaning for word in split("T1 map")] == [("weighting", "map")]
    assert [word.meaning for word in split("T1Map")] == [("weighting", "map")]


def test_offsets_are_those_of_the_name() -> None:
    name = "Anna Müller_AXT1Post"
    assert [name[word.start : word.end] for word in split(name)] == [
        "Anna", "Müller", "AX", "T1", "Post",
    ]  # fmt: skip
    (phrase,) = split("dark - fluid")
    assert (phrase.text, phrase.start, phrase.end) == ("dark fluid", 0, 12)


def test_letters_that_become_two_keep_their_place() -> None:
    assert [(word.text, word.start, word.end) for word in split("Groß_T1")] == [
        ("gross", 0, 4), ("t1", 5, 7),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "b_value"),
    [("b1000", 1000), ("B50", 50), ("b0", 0), ("bv1400", 1400), ("b1000t", 1000), ("1000b", 1000)],
)
def test_b_values_are_read(name: str, b_value: int) -> None:
    (word,) = split(name)
    assert (word.meaning, word.b_value) == (B_VALUE, b_value)


@pytest.mark.parametrize("name", ["b12345", "511b", "4bval", "3b", "b", "1000"])
def test_other_numbers_are_no_b_values(name: str) -> None:
    assert {word.b_value for word in split(name)} == {None}


def test_bids_entities_say_nothing_about_the_sequence() -> None:
    words = split("sub-T1_ses-FLAIR_acq-T2_run-1_space-PD_ce-Gd_T1w")
    assert [word.text for word in words if word.meaning == ENTITY] == [
        "sub", "t1", "ses", "flair", "acq", "t2", "run", "1", "space", "pd",
    ]  # fmt: skip
    assert [word.text for word in words if word.meaning != ENTITY] == ["ce", "gd", "t1w"]


def test_only_names_of_bids_have_entities() -> None:
    assert ENTITY not in [word.meaning for word in split("acq-T2_run-1_T1w")]


@pytest.mark.parametrize(
    ("name", "last"),
    [("T1 C-", "c -"), ("T1 KM-", "km -"), ("T1_IV- ax", "ax"), ("T1 C+", "c +"), ("T1 C-3", "3")],
)
def test_a_dash_counts_behind_a_word_for_contrast(name: str, last: str) -> None:
    assert texts(name)[-1] == last


@pytest.mark.parametrize(("name", "parts"), [("rT1", ["r", "t1"]), ("wrFLAIR", ["wr", "flair"])])
def test_spm_marks_of_resliced_images_are_words(name: str, parts: list[str]) -> None:
    assert texts(name) == parts


@pytest.mark.parametrize("name", ["c1T1", "mwc2T1", "rc1FLAIR", "mwp1anna"])
def test_tissue_classes_of_spm_are_masks(name: str) -> None:
    assert split(name)[0].meaning == ("mask", "mask")


@pytest.mark.parametrize("name", ["P1T1", "C1T1", "c1anna", "p1_T1"])
def test_a_patients_number_is_no_tissue_class(name: str) -> None:
    assert "mask" not in {word.facet for word in split(name)}


def test_one_phase_of_a_dynamic_series_of_ge_is_perfusion() -> None:
    assert split("Ph2/Ax LAVA")[0].meaning == ("weighting", "perfusion")
    assert split("Ph2_Ax")[0].facet == ""


def test_numbers_are_numbers_and_a_name_may_have_no_words() -> None:
    assert [word.meaning for word in split("0012 - 7")] == [NUMBER, NUMBER]
    assert split("") == split("._-") == ()


def test_a_very_long_run_is_one_word() -> None:
    assert len(split("t1flair" * 1000)) == 1
