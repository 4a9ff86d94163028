"""Codes in DICOM files."""

import pytest
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as Concept

from zeus_app.dicom.codes import are_equal, codes_of, long_string, read_concept
from zeus_app.targets import Label, load_target


def item(value: str, scheme: str, meaning: str, *, element: str = "CodeValue") -> Dataset:
    code = Dataset()
    setattr(code, element, value)
    code.CodingSchemeDesignator, code.CodeMeaning = scheme, meaning
    return code


def test_a_label_has_the_codes_of_its_target() -> None:
    codes = codes_of(load_target("brain_tumour").labels[0])
    assert codes.category == Concept("49755003", "SCT", "")
    assert codes.type == Concept("108369006", "SCT", "")
    assert codes.region == Concept("12738006", "SCT", "")
    assert codes.modifier is None
    assert not codes.is_private


def test_a_label_without_codes_is_a_tissue_with_a_code_of_its_name() -> None:
    codes = codes_of(Label(name="zyste", value=1))
    assert codes.category == Concept("85756007", "SCT", "Tissue")
    assert codes.type.meaning == "zyste"
    assert codes.is_private


def test_two_names_have_two_private_codes_of_at_most_sixteen_characters() -> None:
    values = [codes_of(Label(name=name, value=1)).type.value for name in ("a", "b", "x" * 200)]
    assert len(set(values)) == 3
    assert max(map(len, values)) == 16


def test_an_old_code_of_snomed_is_read_as_one_of_snomed_ct() -> None:
    assert read_concept([item("T-62000", "SRT", "Liver")]) == Concept("10200004", "SCT", "Liver")


def test_concepts_are_compared_by_value_and_scheme_alone() -> None:
    liver = Concept("10200004", "SCT", "Liver")
    assert are_equal(liver, Concept("10200004", "SCT", "Leber", "2020"))
    assert not are_equal(liver, Concept("10200004", "99ZEUS", "Liver"))
    assert not are_equal(liver, None)
    assert are_equal(None, None)


@pytest.mark.parametrize("element", ["LongCodeValue", "URNCodeValue"])
def test_a_long_code_is_read(element: str) -> None:
    concept = read_concept([item("1" * 18, "SCT", "Long", element=element)])
    assert concept == Concept("1" * 18, "SCT", "Long")


def test_an_unknown_old_code_is_kept() -> None:
    concept = read_concept([item("T-0000X", "SRT", "?")])
    assert concept is not None
    assert (concept.value, concept.scheme_designator) == ("T-0000X", "SRT")


@pytest.mark.parametrize("items", [None, [], [Dataset()]])
def test_a_sequence_without_a_code_has_no_concept(items: list[Dataset] | None) -> None:
    assert read_concept(items) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("left\\right", "left right"), ("a" * 70, "a" * 64), ("tab\there", "tab here"), ("ä", "ä")],
)
def test_a_text_fits_into_a_long_string(text: str, expected: str) -> None:
    assert long_string(text) == expected
