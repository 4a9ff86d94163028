"""Coded concepts in DICOM files: those of a target's labels, and those that a file states."""

import hashlib
from dataclasses import dataclass
from typing import Any

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr._snomed_dict import mapping
from pydicom.sr.coding import Code as Concept

from zeus_app.targets import Code, Label

PRIVATE_SCHEME = "99ZEUS"
"""Scheme of the codes that Zeus makes of the names of labels without codes."""
TISSUE = Concept("85756007", "SCT", "Tissue")
_LONG_STRING, _SHORT_STRING = 64, 16  # characters of the value representations LO and SH


@dataclass(frozen=True)
class LabelCodes:
    """The coded concepts of one label.

    Attributes:
        category: Segmented Property Category, for example an anatomical structure.
        type: Segmented Property Type, for example the kidney.
        modifier: Segmented Property Type Modifier, for example right; None without one.
        region: Anatomic Region; None without one.
    """

    category: Concept
    type: Concept
    modifier: Concept | None = None
    region: Concept | None = None

    @property
    def is_private(self) -> bool:
        """Whether the type is made of the label's name."""
        return bool(self.type.scheme_designator == PRIVATE_SCHEME)


def codes_of(label: Label) -> LabelCodes:
    """The codes of a label. A label without codes is a tissue with a private code of its name."""
    if label.category is None or label.type is None:
        value = hashlib.sha256(label.name.encode()).hexdigest()[:_SHORT_STRING].upper()
        own = Concept(value, PRIVATE_SCHEME, long_string(label.name))
        return LabelCodes(TISSUE, own, region=_concept(label.region))
    return LabelCodes(
        Concept(label.category.value, label.category.scheme, label.category.meaning),
        Concept(label.type.value, label.type.scheme, label.type.meaning),
        _concept(label.type_modifier),
        _concept(label.region),
    )


def _concept(code: Code | None) -> Concept | None:
    return None if code is None else Concept(code.value, code.scheme, code.meaning)


def private_scheme() -> CodingSchemeIdentificationItem:
    """The item that DICOM wants in a file with codes of `PRIVATE_SCHEME`."""
    return CodingSchemeIdentificationItem(
        PRIVATE_SCHEME, name="Names of labels in Zeus", responsible_organization="Zeus"
    )


def read_concept(items: Any) -> Concept | None:
    """The concept in a code sequence of a file; None if there is none.

    Old codes of SNOMED (scheme SRT) become those of SNOMED CT.

    Args:
        items: the value of the sequence's element, or None.
    """
    if not items:
        return None
    item = items[0]
    names = ("CodeValue", "LongCodeValue", "URNCodeValue")
    value = next((str(item.get(name)) for name in names if item.get(name)), "")
    scheme, meaning = str(item.get("CodingSchemeDesignator", "")), str(item.get("CodeMeaning", ""))
    if not value:
        return None
    if scheme == "SRT" and value in mapping["SRT"]:
        return Concept(mapping["SRT"][value], "SCT", meaning)
    return Concept(value, scheme, meaning)


def are_equal(one: Concept | None, other: Concept | None) -> bool:
    """Whether two concepts have the same value and scheme. pydicom's own comparison takes no None.

    The version of the scheme does not count: SNOMED CT never gives a code to another concept.
    """
    if one is None or other is None:
        return one is other
    return (one.value, one.scheme_designator) == (other.value, other.scheme_designator)


def long_string(text: str) -> str:
    """A text as DICOM's value representation LO takes it: no backslash, at most 64 characters."""
    clean = "".join(c if c.isprintable() and c != "\\" else " " for c in text)
    return clean[:_LONG_STRING].strip()
