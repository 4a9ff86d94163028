"""A user's own texts for the instructions: read from requests, commands and stored labels."""

import logging
from collections.abc import Mapping

from zeus_app.errors import InputError
from zeus_app.targets import Target

logger = logging.getLogger(__name__)

INSTRUCTIONS = "instructions"
"""Key of a user's own texts, in requests and in the info of labels."""
MAX_CHARACTERS = 2000
"""Longest text of a user. The LLM's own texts end after 512 tokens, which is about as long."""


def read_texts(given: object, target: Target) -> dict[tuple[str, str], str]:
    """Read a user's own texts, by (sequence, label).

    {"FLAIR/lesion": "text"} is for one label in one sequence, {"lesion": "text"} for a label in
    every sequence, and {"FLAIR": "text"} for every label in a sequence. A pair wins over a label,
    and a label wins over a sequence.

    Raises:
        InputError: not such a mapping, or an unknown sequence or label.
    """
    if not isinstance(given, Mapping):
        raise _unreadable(target, f"instructions {str(given)[:80]!r}")
    entries = [(_pairs(str(key), target), str(key), text) for key, text in given.items()]
    for pairs, key, text in entries:
        if not pairs or not isinstance(text, str) or not text.strip():
            raise _unreadable(target, f"instruction {key[:80]!r}: {str(text)[:80]!r}")
        if len(text) > MAX_CHARACTERS:
            raise InputError(
                f"an instruction of {len(text)} characters for {key}",
                expected=f"at most {MAX_CHARACTERS} characters",
                remedy=f'send a shorter text, for example {{"{key}": "bright and round"}}',
            )
    # The later text of a pair replaces the earlier one.
    entries.sort(key=lambda entry: ("/" in entry[1], entry[1] in target.label_names))
    return {pair: text for pairs, _, text in entries for pair in pairs}


def read_stored_texts(given: object, target: Target) -> dict[tuple[str, str], str]:
    """Read texts that were stored with a label.

    A text that cannot be used is skipped and logged, for example one for a sequence that the target
    has lost. So one label never ends a training from all labels.
    """
    if not isinstance(given, Mapping):
        logger.warning("stored instructions are skipped: they are no mapping, but %.80r", given)
        return {}
    usable = {}
    for key, text in given.items():
        try:
            read_texts({key: text}, target)
        except InputError as error:
            logger.warning("the stored instruction for %.80s is skipped: %s", key, error)
        else:
            usable[key] = text
    return read_texts(usable, target)


def _pairs(key: str, target: Target) -> list[tuple[str, str]]:
    """The (sequence, label) pairs that a text's key stands for; empty if the key is unknown."""
    pair = tuple(key.split("/", 1))
    return [
        (sequence, label)
        for sequence in target.sequence_names
        for label in target.label_names
        if pair in ((sequence, label), (sequence,), (label,))
    ]


def _unreadable(target: Target, came: str) -> InputError:
    example = f"{target.sequence_names[0]}/{target.label_names[0]}"
    return InputError(
        came,
        expected="a mapping of sequence/label, sequence or label to text",
        remedy=f'send for example {{"{example}": "bright and round"}}; sequences are'
        f" {', '.join(target.sequence_names)}; labels are {', '.join(target.label_names)}",
    )
