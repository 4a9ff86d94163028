"""What names say: public conventions, names of hospitals, and rules that hold for every word."""

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from threading import Thread

import pytest

from benchmarks.conventions import CONVENTIONS, HOSPITAL_NAMES, Reading, read_table
from zeus_app.recognition.image_name import ImageName, _read_once, read_name
from zeus_app.recognition.vocabulary import shipped_vocabulary
from zeus_app.recognition.weighting import NEITHER

PUBLIC = read_table(CONVENTIONS)
HOSPITALS = read_table(HOSPITAL_NAMES)
PATIENT = "a name alone does not tell a time point from a weighting; time_points.py does"
NO_WEIGHTING = "T1 is not in the name, and words for contrast alone may mean any sequence"
KNOWN_MISSES = {
    "10000_1000000_cor": "only PI-CAI means T2 by a plane alone",
    "10000_1000000_sag": "only PI-CAI means T2 by a plane alone",
    "myops_training_101_gd": "gd is gadolinium nearly everywhere; here it is the gold standard",
    "P1_T1_FLAIR": PATIENT,
    "P1_T1_T2": PATIENT,
    "P6_T2_T1": PATIENT,
    "YG_TEST_PRE": NO_WEIGHTING,
    "YG_TEST_POST": NO_WEIGHTING,
    "Ax LAVA Pre/Post": "read as unclear: T1 or T1Gd; that it is dynamic is not in the name",
    "Ax FIESTA": "read as none of the sequences; the table calls that unknown",
}


def read(name: str, *, is_description: bool = False) -> ImageName:
    return read_name(name, shipped_vocabulary(), is_description=is_description)


def by_convention(readings: list[Reading]) -> list[tuple[str, list[Reading]]]:
    ordered = sorted(readings, key=attrgetter("convention"))
    return [(name, list(found)) for name, found in groupby(ordered, attrgetter("convention"))]


def wrong(readings: list[Reading]) -> set[tuple[str, str, str]]:
    """(name, meaning, what is read) of names that are read wrong."""
    return {(r.name, r.expected, r.read) for r in readings if not r.is_right}


def test_the_table_is_large() -> None:
    assert len(PUBLIC) >= 300
    assert len({reading.convention for reading in PUBLIC}) >= 40


@pytest.mark.parametrize(("convention", "readings"), by_convention(PUBLIC))
def test_the_names_of_a_public_convention_are_read(
    convention: str, readings: list[Reading]
) -> None:
    assert convention
    assert {row for row in wrong(readings) if row[0] not in KNOWN_MISSES} == set()


def test_the_known_misses_are_still_missed() -> None:
    assert {name for name, _, _ in wrong(PUBLIC)} == KNOWN_MISSES.keys()


def test_a_known_miss_is_never_taken_for_another_sequence_but_twice() -> None:
    misread = {row for row in wrong(PUBLIC) if row[2] != "unknown"}
    assert misread == {
        ("myops_training_101_gd", "mask", "T1Gd"),
        ("P1_T1_FLAIR", "FLAIR", "T1"),
        ("Ax FIESTA", "unknown", "other"),
    }


@pytest.mark.parametrize(("group", "readings"), by_convention(HOSPITALS))
def test_names_as_hospitals_write_them_are_read(group: str, readings: list[Reading]) -> None:
    assert group
    assert wrong(readings) == set()


def words_for(facet: str, *values: str) -> list[str]:
    """The words, phrases and stems of the vocabulary, as names hold them."""
    return [
        text.replace(" -", "-") if " " in text else text.replace("-", text[-2:-1] * 3)
        for text, meaning in shipped_vocabulary().phrases.items()
        if meaning[0] == facet and meaning[1] in values
    ]


def placed(weighting: str, word: str) -> Iterator[ImageName]:
    """Names with a word on either side of a weighting, near and far, in files and descriptions."""
    for name in (
        f"{weighting} {word}",
        f"{word} {weighting}",
        f"{weighting}_ax_{word}",
        f"{word}_ax_{weighting}",
        f"anna_{weighting}_3mm_{word}_4",
        f"anna_{word}_{weighting}",
        f"anna_7_{weighting}_tra_{word}",
    ):
        yield read(name)
        yield read(name, is_description=True)


@pytest.mark.parametrize("weighting", ["T1", "t1w", "MPRAGE", "VIBE"])
def test_a_t1_with_a_word_for_contrast_is_never_a_plain_t1(weighting: str) -> None:
    words = words_for("contrast", "agent", "given", "after", "both")
    plain = {
        name.name for word in words for name in placed(weighting, word) if name.sequence == "T1"
    }
    assert plain == set()


@pytest.mark.parametrize("weighting", ["T1", "MPRAGE"])
def test_a_t1_with_a_word_for_without_contrast_is_never_a_t1gd(weighting: str) -> None:
    words = words_for("contrast", "native", "before", "without")
    found = {n.name for word in words for n in placed(weighting, word) if n.sequence == "T1Gd"}
    assert found == set()


@pytest.mark.parametrize("weighting", ["T1", "T2", "FLAIR", "MPRAGE", "T1c"])
def test_what_is_no_sequence_is_never_taken_for_one(weighting: str) -> None:
    settings = shipped_vocabulary().settings
    words = [word for word in words_for("weighting", *NEITHER) if word not in settings]
    found = {
        name.name
        for word in words
        for name in placed(weighting, word)
        if name.sequence in {"T1", "T2", "FLAIR", "T1Gd", "T2-SPIR"} and not name.is_mask
    }
    assert found == set()


@pytest.mark.parametrize("weighting", ["T1", "T2", "FLAIR"])
def test_a_word_for_masks_makes_a_mask_on_either_side(weighting: str) -> None:
    names = [
        name for word in words_for("mask", "mask", "brain") for name in placed(weighting, word)
    ]
    assert [name.name for name in names if not name.is_mask] == []


def test_a_name_that_says_who_drew_a_mask_tells_it() -> None:
    assert "reader" in read("T1_expert2_seg").traits
    assert "machine" in read("T1_seg_nnunet").traits
    assert "brain mask" in read("T1_brainmask").traits
    assert not read("T1_nnunet").is_mask


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("Maria_T1", "Maria_"),
        ("Dixon_T1", "Dixon_"),
        ("Bravo_AX_T1_POST", "Bravo_"),
        ("MC_FLAIR", "MC_"),
        ("SUB_001_T1", "SUB_001_"),
        ("PD_012_T2", "PD_012_"),
        ("anna_2019_ax_t2_tse", "anna_2019_"),
        ("anna_preop_T1", "anna_preop_"),
        ("patient07T1POST", "patient07"),
        ("sub-01_ses-2_ce-gd_T1w", "sub-01_ses-2_"),
        ("Müller_b1000", "Müller_"),
        ("T1_anna", ""),
        ("anna", "anna"),
        ("anna_seg", "anna_"),
    ],
)
def test_the_description_starts_behind_the_patient(name: str, prefix: str) -> None:
    assert name[: read(name).start] == prefix


def test_a_description_starts_at_once() -> None:
    assert read("Anna T1", is_description=True).start == 0


def test_a_weighting_before_the_patients_name_makes_a_name_unclear() -> None:
    name = read("T1_anna_T2")
    assert name.sequences == ("T2", "T1")
    assert name.sequence == ""
    assert read("T1_anna_T1").sequences == ("T1",)


@pytest.mark.parametrize(
    ("name", "sequences"),
    [
        ("KS_T1", ("T1", "T1Gd")),
        ("MD_T1", ("T1", "map")),
        ("CT_T2", ("T2", "other")),
        ("H.C._Andersen_T1", ("T1",)),
        ("Bergen_op_Zoom_T1", ("T1",)),
    ],
)
def test_initials_before_a_weighting_are_unclear_and_before_a_name_nothing(
    name: str, sequences: tuple[str, ...]
) -> None:
    assert read(name).sequences == sequences


@pytest.mark.parametrize(
    ("name", "sequence", "is_registered"),
    [
        ("FLAIR_to_T1", "FLAIR", True),
        ("FLAIR_to_ax_T1", "FLAIR", True),
        ("flair2t1", "FLAIR", True),
        ("T1_reg_to_T1_post", "T1", True),
        ("T1_to_T2_post", "T1Gd", True),
        ("FLAIR_in_T1_space", "FLAIR", True),
        ("sub-1_space-T1w_FLAIR", "FLAIR", True),
        ("rT1", "T1", True),
        ("to_T1", "T1", False),
        ("T1_to_anna_smith_T2", "", False),
        ("T1", "T1", False),
    ],
)
def test_the_image_that_one_was_registered_to_does_not_count(
    name: str, sequence: str, *, is_registered: bool
) -> None:
    said = read(name)
    assert (said.sequence, "registered" in said.traits) == (sequence, is_registered)


def test_the_rest_of_a_name_is_counted() -> None:
    assert [read(name).extra for name in ("anna_T1", "T1_x_y", "T1_POST", "T1_sag_x")] == [
        0,
        2,
        0,
        2,
    ]


def test_the_evidence_is_what_the_name_says() -> None:
    assert read("anna_AX_T1_POST_FS").evidence == "T1, POST, FS"
    assert read("Dark-Fluid").evidence == "Dark-Fluid"
    assert read("anna").evidence == ""


def test_the_highest_b_value_counts() -> None:
    assert (read("dwi_b50_800").b_value, read("T1").b_value) == (800, 0)


def test_each_name_is_read_once_for_each_vocabulary() -> None:
    assert read("anna_T1") is read("anna_T1")
    other = shipped_vocabulary().with_phrases({"t1": ("target", "mine")})
    assert read_name("anna_T1", other).sequence == "mine"
    assert read("anna_T1").sequence == "T1"


def test_the_memory_for_names_is_bounded() -> None:
    before = _read_once.cache_info()
    assert before.maxsize is not None
    assert before.maxsize <= 65_536
    read("T1" + "_x" * 10_000)
    assert _read_once.cache_info().misses == before.misses


def test_of_a_very_long_name_only_the_start_is_read() -> None:
    name = "anna_T1_" + "PRE " * 20_000 + "FLAIR"
    said = read(name)
    assert (said.name, said.sequence, said.start) == (name, "T1", 5)


def test_names_may_be_read_by_several_threads() -> None:
    names = [f"anna{n}_AX_T1_POST_{n}" for n in range(300)]
    found: list[list[str]] = []
    threads = [
        Thread(target=lambda: found.append([read(name).sequence for name in names]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["T1Gd"] * 300] * 4


@pytest.mark.parametrize(
    ("name", "lead"),
    [
        ("Long_T1", "Long"),
        ("KM_FLAIR", "KM"),
        ("High_Echo_T2", "High_Echo"),
        ("AX_T1", ""),
        ("anna_T1", ""),
        ("T1_Long", ""),
        ("03_T1", ""),
        ("Long", ""),
    ],
)
def test_words_in_front_of_the_weighting_may_lead_with_a_name(name: str, lead: str) -> None:
    assert read(name).lead == lead
