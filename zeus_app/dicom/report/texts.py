"""The instructions of a study as texts of a report, each with its author."""

from collections.abc import Mapping, Sequence

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    PnameContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from highdicom.sr.value_types import ContentItem, ContentSequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from zeus_app.dicom.codes import PRIVATE_SCHEME
from zeus_app.types import MACHINE_MADE, Instruction

MACHINE_TEXT = Code("machine-text", PRIVATE_SCHEME, f"Instruction, {MACHINE_MADE}")
USER_TEXT = Code("user-text", PRIVATE_SCHEME, "Instruction by a user")
SEQUENCE = Code("sequence", PRIVATE_SCHEME, "Sequence")
_QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
_CONTEXT = RelationshipTypeValues.HAS_OBS_CONTEXT
_LONGEST_NAME = 63  # characters of a part of a name in the value representation PN, less a caret


def text_item(name: Code, text: str, relationship: RelationshipTypeValues) -> ContentItem:
    """A text of the report, without characters that DICOM's value representation UT forbids."""
    clean = "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)
    return TextContentItem(name=name, value=clean.strip(), relationship_type=relationship)


def texts_of(
    instructions: Sequence[Instruction], findings: Mapping[str, Code], user: str
) -> ContainerContentItem | None:
    """The container "Qualitative Evaluations" with one item for each text; None without texts.

    Args:
        instructions: the texts. An empty text is left out.
        findings: label -> its code.
        user: name of the user who wrote texts; may be empty.
    """
    items = [_text(i, findings.get(i.label), user) for i in instructions if i.text.strip()]
    if not items:
        return None
    container = ContainerContentItem(
        name=_QUALITATIVE_EVALUATIONS, relationship_type=RelationshipTypeValues.CONTAINS
    )
    container.ContentSequence = ContentSequence(items)
    return container


def person_name(user: str) -> str:
    """A user's name as a family name in DICOM's value representation PN.

    The caret at the end says that there are no other parts. Without one highdicom logs the name.
    """
    clean = "".join(c if c.isprintable() and c not in "^=\\" else " " for c in user)
    return clean[:_LONGEST_NAME].strip() + "^"


def _text(instruction: Instruction, finding: Code | None, user: str) -> ContentItem:
    name = MACHINE_TEXT if instruction.notice else USER_TEXT
    item = text_item(name, instruction.text, RelationshipTypeValues.CONTAINS)
    context = [*_author(instruction, user), text_item(SEQUENCE, _place(instruction), _CONTEXT)]
    if finding is not None:
        context.append(CodeContentItem(codes.DCM.Finding, finding, _CONTEXT))
    item.ContentSequence = ContentSequence(context)
    return item


def _author(instruction: Instruction, user: str) -> list[ContentItem]:
    is_machine = bool(instruction.notice)
    kind = codes.DCM.Device if is_machine else codes.DCM.Person
    author: list[ContentItem] = [CodeContentItem(codes.DCM.ObserverType, kind, _CONTEXT)]
    if is_machine:
        model = instruction.model or "unknown"
        author.append(text_item(codes.DCM.DeviceObserverName, model, _CONTEXT))
    elif user:
        name = PnameContentItem(codes.DCM.PersonObserverName, person_name(user), _CONTEXT)
        author.append(name)
    return author


def _place(instruction: Instruction) -> str:
    if instruction.slice_index is None:
        return instruction.sequence
    return f"{instruction.sequence}, axial slice {instruction.slice_index} (0 is the lowest)"
