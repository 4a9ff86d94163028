"""What a PACS answers to STOW-RS (DICOM PS3.18, 10.5.3): stored, or why not."""

import requests
from pydicom.dataset import Dataset

from zeus_app.errors import PacsAwayError, PacsError

_AWAY = frozenset({408, 429, 502, 503, 504})
_REASONS = {
    0x0110: "it could not process the object",
    0x0111: "it has an object with this UID already",
    0x0122: "it does not store this kind of object",
    0x0124: "this user may not store objects",
    0xC122: "it does not take the object's transfer syntax",
}
_KINDS = {
    0xA7: "it has no room left",
    0xA9: "the object does not fit its kind",
    **dict.fromkeys(range(0xC0, 0xD0), "it does not understand the object"),
}
"""Failure Reason, or its first byte -> its meaning (PS3.18, table I.2-2; PS3.7, annex C)."""


def failure_of(answer: Dataset, sop_uid: str) -> str:
    """Why a PACS did not store an object; empty if it stored it.

    Args:
        answer: the data set of the answer, which may be empty.
        sop_uid: the object's SOP Instance UID.
    """
    for item in answer.get("FailedSOPSequence") or ():
        if str(item.get("ReferencedSOPInstanceUID", sop_uid)) == sop_uid:
            number = int(item.get("FailureReason") or 0)
            meaning = _REASONS.get(number) or _KINDS.get(number >> 8)
            return meaning or f"failure reason {number:#06x}"
    return ""


def not_stored(url: str, what: str, reason: str, *, status: int = 200) -> PacsError:
    """The error for an object that a PACS did not store.

    Args:
        url: address of the PACS, without credentials.
        what: the object, for users.
        reason: why not.
        status: HTTP status of the answer.
    """
    kind = PacsAwayError if status in _AWAY else PacsError
    return kind(
        f"the PACS at {url} did not store {what}: {reason}",
        expected="a PACS that stores SEG and SR, and a user who may store them",
        remedy="read the log of the PACS, check what its user may do, and send the object again",
    )


def failure_of_refusal(response: requests.Response, sop_uid: str) -> str:
    """Why a PACS refused a whole request, from its answer with a status 4xx or 5xx."""
    status = f"it answers {response.status_code}"
    try:
        failure = failure_of(Dataset.from_json(response.json()), sop_uid)
    except Exception:  # a web page, or JSON of another kind; pydicom raises many types for it
        return status
    return f"{status}, {failure}" if failure else status
