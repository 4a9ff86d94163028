"""Notes: JSON objects that clients attach to images and labels, one file each."""

import json
import logging
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from zeus_app.errors import InputError
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.storage.strict_json import check_json

MAX_NOTE_BYTES = 128 * 1024
"""Most bytes of all notes on one image or label, as JSON."""

logger = logging.getLogger(__name__)


def read_note(path: Path) -> dict[str, Any]:
    """Read a note. What cannot be used is skipped and logged, because older versions took it.

    Returns:
        The entries that are strict JSON; empty if the file is missing or damaged.
    """
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        _log_skipped(path, str(error))
        return {}
    if not isinstance(note, dict):
        _log_skipped(path, f"a {type(note).__name__} instead of an object")
        return {}
    return {key: value for key, value in note.items() if _is_usable(path, key, value)}


def write_note(path: Path, note: Mapping[str, Any]) -> None:
    """Replace a note."""
    write_text_atomically(path, json.dumps(note, indent=1, default=str))


def check_note(note: Mapping[str, Any], *, own_keys: Collection[str] = ()) -> None:
    """Refuse a note that is no strict JSON or too large.

    Args:
        note: the whole note, with its earlier entries.
        own_keys: entries of Zeus itself, which do not count.

    Raises:
        InputError: says what is wrong, and the limit.
    """
    notes = {key: value for key, value in note.items() if key not in own_keys}
    try:
        check_json(notes)
    except ValueError as error:
        raise InputError(
            f"a note with {error}", expected="a JSON object", remedy='send {"reader": "anna"}'
        ) from error
    size = len(json.dumps(notes).encode())
    if size > MAX_NOTE_BYTES:
        raise InputError(
            f"a note of {size} bytes, with the earlier notes on the same image or label",
            expected=f"at most {MAX_NOTE_BYTES} bytes",
            remedy='send a shorter one, for example {"reader": "anna"}',
        )


def _is_usable(path: Path, key: str, value: object) -> bool:
    try:
        check_json({key: value})
    except ValueError as error:
        _log_skipped(path, f"an entry with {error}")
        return False
    return True


@lru_cache(maxsize=1000)
def _log_skipped(path: Path, reason: str) -> None:
    """Log once per process, because lists read every note again and again."""
    logger.warning("the note %s is skipped: %s", path, reason)
