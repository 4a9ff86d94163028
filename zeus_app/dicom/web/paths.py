"""Addresses of DICOMweb resources (DICOM PS3.18, section 10), read and checked.

An address that has passed names resources by UIDs alone: it holds no `..`, host or scheme.
"""

import re
from dataclasses import dataclass

from zeus_app.errors import UnknownNameError

LEVELS = ("studies", "series", "instances")
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)
_UID_CHARACTERS = 64
_FRAMES = re.compile(r"[1-9][0-9]{0,5}(?:,[1-9][0-9]{0,5}){0,999}", re.ASCII)
_BULK = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_BULK_PARTS = 16
_RENDERED = ("rendered", "thumbnail")
_TAILS = {
    0: ("studies", "series", "instances"),
    1: ("", "series", "instances", "metadata", *_RENDERED),
    2: ("", "instances", "metadata", *_RENDERED),
    3: ("", "metadata", *_RENDERED),
}
"""Number of UIDs -> what may follow them."""


@dataclass(frozen=True)
class WebPath:
    """The address of one DICOMweb resource.

    Attributes:
        study, series, instance: UIDs; empty where the address names none.
        kind: "studies", "series" or "instances" for a list; "metadata", "frames", "rendered",
            "thumbnail" or "bulkdata"; empty for the DICOM files themselves.
        frames: numbers of frames, from 1.
        bulk: what follows `bulkdata/`.
        text: the whole address, without a slash at its start.
    """

    study: str
    series: str
    instance: str
    kind: str
    frames: tuple[int, ...]
    bulk: str
    text: str


def read_path(text: str) -> WebPath:
    """Read the address of a DICOMweb resource, such as `studies/1.2/series/1.3/metadata`.

    Raises:
        UnknownNameError: this is no such address.
    """
    parts = text.split("/")
    uids: list[str] = []
    while len(parts) > 1 and len(uids) < len(LEVELS) and parts[0] == LEVELS[len(uids)]:
        if not is_uid(parts[1]):
            raise _unknown(text)
        uids.append(parts[1])
        parts = parts[2:]
    study, series, instance = (*uids, "", "", "")[:3]
    tail = "/".join(parts)
    if tail in _TAILS[len(uids)]:
        return WebPath(study, series, instance, tail, (), "", text)
    if instance and parts[0] == "frames" and len(parts) in (2, 3) and _FRAMES.fullmatch(parts[1]):
        frames = tuple(map(int, parts[1].split(",")))
        if len(parts) == 2 or (parts[2] in _RENDERED and len(frames) == 1):
            kind = parts[2] if len(parts) == 3 else "frames"
            return WebPath(study, series, instance, kind, frames, "", text)
    if study and parts[0] in ("bulkdata", "bulk") and _is_bulk(parts[1:]):  # Orthanc writes `bulk`
        return WebPath(study, series, instance, "bulkdata", (), "/".join(parts[1:]), text)
    raise _unknown(text)


def is_uid(text: str) -> bool:
    """Whether a text has the form of a DICOM UID. Zeros before digits occur, and are let pass."""
    return len(text) <= _UID_CHARACTERS and _UID.fullmatch(text) is not None


def _is_bulk(parts: list[str]) -> bool:
    return 0 < len(parts) <= _BULK_PARTS and all(map(_BULK.fullmatch, parts))


def _unknown(text: str) -> UnknownNameError:
    return UnknownNameError(
        f"DICOMweb address {text[:200]!r}",
        expected="studies, or an address below studies/{uid}, as DICOM PS3.18 describes them",
        remedy="ask for example for studies/1.2.3/series",
    )
