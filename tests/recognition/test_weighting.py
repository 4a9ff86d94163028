"""The sequence that words mean together."""

import pytest

from zeus_app.recognition.vocabulary import shipped_vocabulary
from zeus_app.recognition.weighting import NEITHER, SEQUENCES, Facts, sequences_of
from zeus_app.recognition.words import split_words


def facts(name: str) -> Facts:
    return Facts.of(split_words(name, shipped_vocabulary()))


def meant(name: str) -> tuple[str, ...]:
    return sequences_of(facts(name))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("t1", ["T1"]),
        ("mprage", ["T1"]),
        ("t2 mprage", ["T2"]),
        ("haste", ["T2"]),
        ("t1 haste", ["T1"]),
        ("t1 t2", ["T1", "T2"]),
        ("flair", ["FLAIR"]),
        ("t2 flair", ["FLAIR"]),
        ("t1 flair", ["T1"]),
        ("t1 flair gd", ["T1Gd"]),
        ("flair t1", ["FLAIR", "T1"]),
        ("gre", ["T2star"]),
        ("t2 ffe", ["T2star"]),
        ("t1 ffe", ["T1"]),
        ("mprage gre", ["T1"]),
        ("gre +c", ["T1Gd"]),
        ("stir", ["STIR"]),
        ("t2 stir", ["STIR"]),
        ("t1 tirm", ["T1"]),
        ("pd", ["PD"]),
        ("pd fs", ["PD"]),
        ("pd t2", ["PD", "T2"]),
        ("pd t2 e1", ["PD"]),
        ("pd t2 e2", ["T2"]),
        ("t2 fs", ["T2-SPIR"]),
        ("spir", ["T2-SPIR"]),
        ("t1 spir", ["T1"]),
        ("gado", ["T1Gd"]),
        ("contrast", []),
        ("no gado", []),
        ("post", []),
        ("ax 3d", []),
        ("", []),
    ],
)
def test_words_mean_a_sequence_together(name: str, expected: list[str]) -> None:
    assert list(meant(name)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("in phase", "T1-in"),
        ("t1 opp", "T1-out"),
        ("lava water", "T1-water"),
        ("vibe dixon tra f", "T1-fat"),
        ("mdixon w bh", "T1-water"),
        ("t1 fl2d tra in", "T1-in"),
        ("t2 dixon tra in", "T2"),
        ("t2 dixon tra w", "T2-SPIR"),
        ("t2 dixon tra f", "T2-fat"),
        ("t2 dixon tra opp", "T2-out"),
        ("dixon tra", ""),
        ("dixon", ""),
    ],
)
def test_the_parts_of_a_dixon_series_are_told(name: str, expected: str) -> None:
    assert meant(name) == ((expected,) if expected else ())


def test_both_phases_in_one_series_are_unclear() -> None:
    assert meant("in out phase") == ("T1-in", "T1-out")


@pytest.mark.parametrize(
    ("name", "expected", "b_values"),
    [
        ("dwi", "DWI", ()),
        ("dwi b1000", "HBV", (1000,)),
        ("dwi 1000", "HBV", (1000,)),
        ("b 1000", "HBV", (1000,)),
        ("b50", "DWI", (50,)),
        ("b499", "DWI", (499,)),
        ("b500", "HBV", (500,)),
        ("dwi b50 400 800", "DWI", (50, 400, 800)),
        ("dwi 0 1000", "DWI", (0, 1000)),
        ("dwi 0003", "DWI", ()),
        ("dwi 12000", "DWI", ()),
        ("dwi high b", "HBV", ()),
        ("dwi b0 b1000 calc bval 2000", "HBV", (0, 1000, 2000)),
        ("high b value 100", "DWI", (100,)),
        ("adc b1000", "ADC", (1000,)),
        ("dti fa", "map", ()),
        ("t2 dwi", "DWI", ()),
    ],
)
def test_diffusion_is_told_by_its_b_values(
    name: str, expected: str, b_values: tuple[int, ...]
) -> None:
    assert (meant(name), facts(name).b_values) == ((expected,), b_values)


@pytest.mark.parametrize(
    "other", ["scout", "sub", "map", "perf", "tof", "fmri", "phase", "dir", "mrcp"]
)
@pytest.mark.parametrize("weighting", ["t1", "t2", "flair", "t1c", "mprage", "pd"])
def test_what_is_no_sequence_is_none_whatever_its_weighting(weighting: str, other: str) -> None:
    for name in (f"{weighting} {other}", f"{other} {weighting}", f"{weighting} ax {other} 3"):
        assert {*meant(name)} <= set(NEITHER), name


def test_traits_are_collected() -> None:
    assert facts("t1 sag fs post mip n4 repeat brain").traits == {
        "off-axis", "fat-suppressed", "after contrast", "projection", "processed", "repeated",
        "part",
    }  # fmt: skip
    assert facts("t1 ax pre").traits == {"before contrast"}


def test_no_kind_is_both() -> None:
    assert set(NEITHER) & SEQUENCES == {"DIR"}  # no target has it
