"""The b-value and the direction of a DICOM image: the standard's element, else the vendor's."""

import re
from collections.abc import Sequence
from typing import Any, cast

_STANDARD = (0x0018, 0x9087)
_SIEMENS, _SIEMENS_CREATOR = (0x0019, 0x100C), (0x0019, 0x0010)
_GE, _GE_CREATOR = (0x0043, 0x1039), (0x0043, 0x0010)
_PHILIPS, _PHILIPS_CREATOR = (0x2001, 0x1003), (0x2001, 0x0010)
_PHILIPS_DIRECTION = (0x2001, 0x1004)
_VENDORS = ((_SIEMENS_CREATOR, _SIEMENS), (_GE_CREATOR, _GE), (_PHILIPS_CREATOR, _PHILIPS))
TAGS: list[Any] = [
    _STANDARD,
    "DiffusionDirectionality",
    _PHILIPS_DIRECTION,
    *(tag for pair in _VENDORS for tag in pair),
]
"""The elements that these functions read, besides Sequence Name."""


def b_value(data: Any) -> float | None:
    """The b-value in s/mm², from a data set of pydicom; None if there is none.

    The vendors' elements are those of their DICOM conformance statements.
    """
    if _STANDARD in data:
        return number(data[_STANDARD].value)
    for creator, element in _VENDORS:
        if creator in data and element in data:
            value = number(data[element].value)
            # GE adds 1e9 to the b-value of some images.
            return value % 1e9 if value is not None and element == _GE else value
    sequence = re.search(r"_b(\d+)t?$", str(data.get("SequenceName") or ""))
    return float(sequence.group(1)) if sequence else None


def is_isotropic(data: Any) -> bool | None:
    """Whether a diffusion image is the mean of all directions; None if the header does not tell.

    Philips has an element of its own in images that are a file each.
    """
    if _PHILIPS_CREATOR in data and _PHILIPS_DIRECTION in data:
        return str(data[_PHILIPS_DIRECTION].value).strip() == "I"
    directionality = str(data.get("DiffusionDirectionality") or "")
    return directionality == "ISOTROPIC" if directionality else None


def number(value: Any) -> float | None:
    """A float from a number, a text, bytes, or the first of several values; None if none is."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "ignore").strip("\0 ").split("\\")[0]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        value = value[0] if value else None
    try:
        return float(cast(str, value))
    except (TypeError, ValueError):
        return None
