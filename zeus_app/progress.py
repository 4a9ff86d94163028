"""How long work tells where it is, and learns that it is no longer wanted."""

from typing import Protocol


class Report(Protocol):
    """Called between batches of long work.

    An implementation shows the numbers (terminal, REST) and raises CancelledError when the user
    asked for the work to stop.
    """

    def __call__(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` units of `stage` are finished."""


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing; the default where nobody watches."""
