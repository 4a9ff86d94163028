"""How long work tells where it is, and learns that it is no longer wanted."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress


class Report(Protocol):
    """Called between batches of long work.

    An implementation shows the numbers (terminal, REST) and raises CancelledError when the user
    asked for the work to stop.
    """

    def __call__(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` units of `stage` are finished."""


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing; the default where nobody watches."""


Pause = Callable[[], None]
"""Called inside a batch, between two small steps: may wait, or raise CancelledError."""


def no_pause() -> None:
    """Go on at once; the default where nobody waits."""


def bars(progress: "Progress") -> Report:
    """A Report that draws one bar a stage on the terminal."""
    drawn: dict[str, Any] = {}

    def report(stage: str, done: int, total: int) -> None:
        if stage not in drawn:
            drawn[stage] = progress.add_task(stage, total=total)
        progress.update(drawn[stage], completed=done, total=total)

    return report
