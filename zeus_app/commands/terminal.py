"""What commands show on the terminal, and how they are stopped."""

import signal
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from zeus_app.progress import Report, draw_bars

_WIDE = 240  # characters
_MOST_LISTED = 10  # names with one reason


@contextmanager
def progress_bars() -> Iterator[Report]:
    """A Report that draws one progress bar for each stage, on stderr.

    Lines that are printed meanwhile stay above the bars; those to a file or a pipe go there.
    """
    import sys

    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, redirect_stdout=sys.stdout.isatty()) as progress:
        yield draw_bars(progress)


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table to stdout, as wide as the terminal; long cells are folded.

    In a file or a pipe it is wide, so that few cells are folded and `grep` finds them.
    """
    import os
    import sys

    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(*(Column(name, overflow="fold") for name in columns), title=title)
    for row in rows:
        table.add_row(*map(Text, row))  # brackets in a file's name are no markup
    is_wide = not (sys.stdout.isatty() or "COLUMNS" in os.environ)
    Console(width=_WIDE if is_wide else None).print(table)


def print_by_reason(title: str, columns: list[str], reasons: Mapping[str, str]) -> None:
    """Print a table of name -> reason, with one row for each reason; nothing without names."""
    names: dict[str, list[str]] = defaultdict(list)
    for name, reason in reasons.items():
        names[reason].append(name)
    rows = []
    for reason, some in names.items():
        rest = f" and {len(some) - _MOST_LISTED} more" if len(some) > _MOST_LISTED else ""
        rows.append([f"{', '.join(some[:_MOST_LISTED])}{rest}", reason])
    if rows:
        print_table(title, columns, rows)


def stop_at_sigterm() -> None:
    """Let SIGTERM stop this process as Ctrl-C does, so that the server it started ends too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
