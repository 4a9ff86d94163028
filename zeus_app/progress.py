"""Progress reports of long work, and the points where it can be paused or cancelled."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress


class Report(Protocol):
    """Called between the batches of long work.

    An implementation shows the numbers on a terminal or over HTTP. It may wait, to let a more
    urgent job run, and it raises CancelledError when the work was cancelled.
    """

    def __call__(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` units of `stage` are finished."""


def silent(stage: str, done: int, total: int) -> None:
    """A Report that shows nothing."""


Pause = Callable[[], None]
"""Called inside a batch, between two short steps. It may wait, or raise CancelledError."""


def no_pause() -> None:
    """A Pause that returns at once."""


def draw_bars(progress: "Progress") -> Report:
    """A Report that draws one progress bar for each stage on the terminal."""
    bars: dict[str, Any] = {}

    def report(stage: str, done: int, total: int) -> None:
        if stage not in bars:
            bars[stage] = progress.add_task(stage, total=total)
        progress.update(bars[stage], completed=done, total=total)

    return report
