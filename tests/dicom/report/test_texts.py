import pytest
from highdicom.sr import RelationshipTypeValues
from pydicom.sr.codedict import codes

from zeus_app.dicom.report.texts import person_name, text_item, texts_of
from zeus_app.types import Instruction


def instruction(text: str, model: str = "medgemma") -> Instruction:
    return Instruction("T2", "gland", None, text, model)


def test_without_texts_there_is_no_container() -> None:
    assert texts_of([], {}, "") is None
    assert texts_of([instruction(" \n")], {}, "") is None


def test_a_text_keeps_its_lines_and_loses_control_characters() -> None:
    item = text_item(codes.DCM.Comment, "one\ntwo\x00\x1b[31m ", RelationshipTypeValues.CONTAINS)
    assert item.TextValue == "one\ntwo  [31m"


@pytest.mark.parametrize(
    ("user", "name"),
    [("anna", "anna^"), ("a^b=c\\d", "a b c d^"), ("x" * 100, "x" * 63 + "^")],
)
def test_a_users_name_is_one_family_name(user: str, name: str) -> None:
    assert person_name(user) == name


def test_without_a_name_a_users_text_is_a_persons() -> None:
    container = texts_of([instruction("mine", "user")], {}, "")
    assert container is not None
    context = container.ContentSequence[0].ContentSequence
    assert context[0].value == codes.DCM.Person
    assert [item for item in context if item.ValueType == "PNAME"] == []


def test_a_text_names_the_code_of_its_label() -> None:
    prostate = codes.SCT.Prostate
    container = texts_of([instruction("text")], {"gland": prostate}, "")
    assert container is not None
    [finding] = container.ContentSequence[0].ContentSequence.find(codes.DCM.Finding)
    assert finding.value == prostate


def test_a_model_without_a_name_is_unknown() -> None:
    container = texts_of([instruction("text", "")], {}, "anna")
    assert container is not None
    [name] = container.ContentSequence[0].ContentSequence.find(codes.DCM.DeviceObserverName)
    assert name.TextValue == "unknown"
