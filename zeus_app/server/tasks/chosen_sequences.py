"""The sequences that a request names: read, and compared with those that its study has."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

from zeus_app.errors import InputError
from zeus_app.instructions.own_texts import read_texts
from zeus_app.server.studies.refusals import refuse_left_out
from zeus_app.settings.registry import lookup
from zeus_app.targets import Target
from zeus_app.types import StudyFiles

SEQUENCES = "sequences"
"""Name of the option and of the request's parameter."""
ALL = "all"


def sequence_choices(target: Target) -> list[str]:
    """What clients offer: "all" first, then each sequence, then each pair of sequences."""
    names = target.sequence_names
    pairs = combinations(names, 2) if len(names) > 2 else ()
    return [ALL, *names, *map(", ".join, pairs)]


def read_sequences(value: object, target: Target) -> tuple[str, ...]:
    """Read the sequences to use: "FLAIR", "FLAIR, T1Gd", or a list; () means all.

    "all" in a list means all too: a client that sends its options untouched sends the whole list.

    Raises:
        InputError: neither a text nor a list.
        UnknownNameError: the target has no such sequence.
    """
    entries = [value] if isinstance(value, str) else value or []
    if not isinstance(entries, list | tuple):
        raise InputError(
            f"sequences {str(value)[:80]!r}",
            expected="names of sequences, as a list or separated by commas",
            remedy=f'send for example "{", ".join(target.sequence_names[:2])}"',
        )
    written = [name.strip() for entry in entries for name in str(entry).split(",")]
    names = [name for name in dict.fromkeys(written) if name]
    if ALL in map(str.casefold, names):
        return ()
    known = {name: name for name in target.sequence_names}
    return tuple(lookup("sequence", name, known) for name in names)


def named_sequences(value: object, texts: object, target: Target) -> tuple[str, ...]:
    """The sequences that a request names: those to use, and those of the user's own texts.

    Args:
        value: as in `read_sequences`.
        texts: as in `read_texts`.
        target: the sequences that there are.
    """
    return *read_sequences(value, target), *sequences_of_texts(texts, target)


def refuse_lacking(names: Iterable[str], study: StudyFiles) -> None:
    """Refuse sequences of the target that a study lacks.

    Raises:
        InputError: names the sequence, and those that the study has.
    """
    has = ", ".join(sorted(study.sources))
    for name in names:
        refuse_left_out(study, name)
        if name not in study.sources:
            raise InputError(
                f"sequence {name!r}: the study has no {name}; it has {has}",
                expected=f"sequences of study {study.id!r}: {has}",
                remedy=f"send for example {next(iter(study.sources))!r}, or name no sequence",
            )


def sequences_of_texts(given: object, target: Target) -> list[str]:
    """The sequences that the keys of a user's own texts name: "T2" and "T2/lesion" name T2.

    A key that is a label alone is for all sequences and names none.
    """
    keys: Mapping[Any, Any] = given if isinstance(given, Mapping) else {}
    named = [str(key).split("/", 1)[0] for key in keys]
    return [name for name in named if name in target.sequence_names]


def texts_to_store(
    given: object, stored: object, study: StudyFiles, target: Target
) -> dict[str, str]:
    """A user's own texts for a label, by "sequence/label".

    Args:
        given: what the client sent, as in `read_texts`.
        stored: the texts of the label's newest version. Clients send them back, and they may be
            for all sequences of the target.
        study: the study of the label.
        target: the sequences and labels that texts may be for.

    Raises:
        InputError: a text cannot be read, or a new one is for a sequence that the study lacks.
    """
    texts = read_texts(given, target)
    known = set(sequences_of_texts(stored, target))
    refuse_lacking([s for s in sequences_of_texts(given, target) if s not in known], study)
    return {f"{sequence}/{label}": text for (sequence, label), text in texts.items()}
