"""Names are read as commit 2ea7737 read them; the expected values are its answers."""

import pytest

from zeus_app.studies.former_words import FormerWords, split_name
from zeus_app.targets import load_target

WORDS = FormerWords.of(load_target("brain_tumour"))


@pytest.mark.parametrize(
    ("name", "sequences", "start"),
    [
        ("anna_brain_T1", ["T1"], 11),
        ("patient07T1POST", ["T1Gd"], 9),
        ("t2_brain_T1", ["T2", "T1"], 9),
        ("T1 AX POST", ["T1Gd"], 0),
        ("3DT1", ["T1"], 0),
        ("sub-01_ce-gadolinium_T1w", ["T1Gd"], 7),
    ],
)
def test_the_last_sequence_of_a_name_begins_here(
    name: str, sequences: list[str], start: int
) -> None:
    pieces = split_name(name)
    hits = WORDS.hits(pieces)
    assert [hit.sequence for hit in hits] == sequences
    assert pieces[hits[-1].first].start == start


@pytest.mark.parametrize("name", ["anna", "t2map", "T1MAP", "T1_seg", "t1_lesion", "T1_tumor"])
def test_masks_maps_and_other_names_spell_no_sequence(name: str) -> None:
    assert not WORDS.hits(split_name(name))
