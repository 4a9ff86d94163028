"""Searches by attributes, as QIDO-RS has them (DICOM PS3.18, section 8.3.4; PS3.4, C.2.2.2)."""

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import dictionary_keyword, keyword_dict

from zeus_app.dicom.web.json_model import Json
from zeus_app.errors import InputError

_OPTIONS = frozenset({"limit", "offset", "fuzzymatching", "includefield", "orderby"})
_RANGED = frozenset({"DA", "TM", "DT"})
_LISTED = frozenset({"UI", "CS"})
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_TAG = re.compile(r"[0-9A-Fa-f]{8}", re.ASCII)


@dataclass(frozen=True)
class Search:
    """One search.

    Attributes:
        filters: tag, as eight hexadecimal digits -> the value that a match has.
        limit: most matches; None for all.
        offset: number of matches before the first one of the answer.
    """

    filters: Mapping[str, str]
    limit: int | None = None
    offset: int = 0

    def of(self, items: Iterable[Json]) -> list[Json]:
        """The items that match, in their order."""
        found = [item for item in items if self._fits(item)]
        end = None if self.limit is None else self.offset + self.limit
        return found[self.offset : end]

    def _fits(self, item: Json) -> bool:
        return all(_matches(item.get(tag, {}), value) for tag, value in self.filters.items())


def read_search(parameters: Sequence[tuple[str, str]]) -> Search:
    """Read the parameters of a search. No refusal quotes a value: it may name a patient.

    Raises:
        InputError: a parameter is no attribute of DICOM, or a number is none.
    """
    given = dict(parameters)
    filters = {_tag(name): value for name, value in given.items() if name not in _OPTIONS}
    limit = _number(given, "limit")
    return Search(filters, limit, _number(given, "offset") or 0)


def _number(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name, "")
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise InputError(
            f"a {name} that is no number",
            expected="a whole number from 0, of at most nine digits",
            remedy=f"send for example {name}=100",
        )
    return int(text)


def _tag(name: str) -> str:
    """The tag of an attribute, which is named by its keyword or its tag."""
    if _TAG.fullmatch(name):
        return name.upper()
    if name in keyword_dict and dictionary_keyword(keyword_dict[name]) == name:
        return f"{keyword_dict[name]:08X}"
    raise InputError(
        f"a search by {name[:64]!r}",
        expected="the keyword or the tag of an attribute of DICOM",
        remedy="send for example StudyDate=20260101-20261231",
    )


def _matches(element: Mapping[str, Any], wanted: str) -> bool:
    """Whether a value of an element is the wanted one: alike, in a list, or in a range."""
    if wanted in ("", "*"):
        return True
    values = [_text(value) for value in element.get("Value", [])]
    if element.get("vr") in _RANGED and "-" in wanted:
        first, last = wanted.split("-", 1)
        return any(first <= value and (not last or value <= last) for value in values)
    names = re.split(r"[,\\]", wanted) if element.get("vr") in _LISTED else [wanted]
    return any(_pattern(name).fullmatch(value) for name in names for value in values)


def _text(value: object) -> str:
    return str(value.get("Alphabetic", "")) if isinstance(value, dict) else str(value)


def _pattern(wanted: str) -> re.Pattern[str]:
    """`*` stands for any text, `?` for one character. The expression takes linear time."""
    return re.compile(fnmatch.translate(wanted.replace("[", "[[]")), re.IGNORECASE)
