"""Look up a name in a dictionary; an unknown name is answered with the known ones."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

from zeus_app.errors import UnknownNameError

T = TypeVar("T")


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
    close = get_close_matches(name, table, n=1)
    remedy = f"did you mean {close[0]!r}" if close else "choose one of these"
    raise UnknownNameError(
        f"unknown {kind} {name!r}",
        expected=", ".join(sorted(table)) or f"(no {kind} is known)",
        remedy=remedy,
    )
