"""Look up a name in a dictionary; an unknown name is answered with the known ones."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from zeus_app.errors import UnknownNameError

T = TypeVar("T")

LEAST_LIKENESS = 0.6
"""Of two names, from 0 to 1, for one to be meant by the other; difflib's own default."""


def lookup(kind: str, name: str, table: Mapping[str, T]) -> T:
    """Return `table[name]`.

    Args:
        kind: noun for the message: "target", "profile", "model".
        name: the name to look up.
        table: name -> value.

    Raises:
        UnknownNameError: the table has no such name. The message lists all names and the closest.
    """
    if name in table:
        return table[name]
    close = closest(name, table, least=LEAST_LIKENESS)
    remedy = f"did you mean {close!r}" if close else "choose one of these"
    raise UnknownNameError(
        f"unknown {kind} {name!r}",
        expected=", ".join(sorted(table)) or f"(no {kind} is known)",
        remedy=remedy,
    )


def closest(name: str, known: Iterable[str], *, least: float = 0.0) -> str:
    """The known name that is most like `name`, whatever their capitals; "" if none is.

    Args:
        name: what came.
        known: the names to choose from.
        least: how like it must be, from 0 to 1.
    """
    plain = {one.casefold(): one for one in known}
    close = get_close_matches(name.casefold(), plain, n=1, cutoff=least)
    return plain[close[0]] if close else ""
