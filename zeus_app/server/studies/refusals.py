"""The errors that tell a client why an image id cannot be used."""

from collections.abc import Collection
from difflib import get_close_matches

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.settings.registry import LEAST_LIKENESS, closest
from zeus_app.types import StudyFiles

_REPAIR = "repair its files, and call GET /zeus/studies?refresh=true"


def unusable_study(study: str, reason: str) -> InputError:
    """The error for a study that is a problem."""
    return InputError(
        f"study {study!r} cannot be used: {reason}",
        expected="a study whose files can be read",
        remedy=f"list its files with GET /zeus/studies, {_REPAIR}",
    )


def unknown_study(image_id: str, studies: Collection[str]) -> UnknownNameError:
    """The error for the id of no study."""
    close = ", ".join(get_close_matches(image_id, studies)) or "none is close"
    return UnknownNameError(
        f"unknown study {image_id!r}",
        expected=f"one of {len(studies)} studies, or study/sequence (close: {close})",
        remedy="list the studies with GET /zeus/studies",
    )


def refuse_left_out(files: StudyFiles, sequence: str) -> None:
    """Raise InputError for a sequence that its study goes on without, with the reason."""
    start = f"{sequence}: "
    reason = next((i.reason for i in files.unused if i.reason.startswith(start)), None)
    if sequence not in files.sources and reason:
        raise InputError(
            f"{sequence} of study {files.id!r}, which cannot be used: {reason.removeprefix(start)}",
            expected=f"one of {', '.join(files.sources)}",
            remedy=_REPAIR,
        )


def refuse_missing(files: StudyFiles, sequence: str) -> None:
    """Raise UnknownNameError for a sequence that a study has not, with those that it has."""
    if sequence not in files.sources:
        has = ", ".join(sorted(files.sources))
        close = closest(sequence, files.sources, least=LEAST_LIKENESS)
        raise UnknownNameError(
            f"unknown sequence {sequence!r}: the study has no {sequence}; it has {has}",
            expected=f"sequences of study {files.id!r}: {has}",
            remedy=f"did you mean {close!r}" if close else "choose one of these",
        )


def file_is_gone(error: FileNotFoundError) -> InputError:
    """The error for a file that was there when the studies were listed."""
    return InputError(
        f"{error.filename} is gone",
        expected="the file that was there when the studies were listed",
        remedy="put the file back, and call GET /zeus/studies?refresh=true",
    )


def refuse_taken(name: str, taken: Collection[str]) -> None:
    """Raise InputError for the id of an upload that something else has."""
    if name in taken:
        raise InputError(
            f"image id {name!r} is taken",
            expected="an id that no study has",
            remedy=f"send another id, for example {name}_2",
        )
