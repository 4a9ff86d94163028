"""How many names of public data sets and scanners Zeus reads right.

    python -m benchmarks.conventions [--names] [TABLE ...]

The tables are tests/recognition/conventions.yaml, with the source of each name, and
tests/recognition/hospital_names.yaml, which is made up. Each name is read alone, without the other
files of its folder. docs/names.md explains the rules and quotes the totals.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from zeus_app.recognition.image_name import read_name
from zeus_app.recognition.vocabulary import shipped_vocabulary

TABLES = Path(__file__).parents[1] / "tests" / "recognition"
CONVENTIONS = TABLES / "conventions.yaml"
HOSPITAL_NAMES = TABLES / "hospital_names.yaml"
MASK, UNKNOWN = "mask", "unknown"
"""What a name means that names a mask, or that alone says nothing or is unclear."""


class Entry(BaseModel):
    """The names of one kind in one convention.

    Attributes:
        convention: a data set, a program or a vendor.
        source: the page that says what the names mean.
        checked: "true" if the names were read there.
        kind: "file", "folder" or "series", the description of a DICOM series.
        names: name -> what it means.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    convention: str
    source: str = ""
    checked: str = ""
    kind: str
    names: dict[str, str]


@dataclass(frozen=True)
class Reading:
    """A name of a convention, as Zeus reads it.

    Attributes:
        convention: see `Entry`.
        kind: see `Entry`.
        name: the name.
        expected: what it means.
    """

    convention: str
    kind: str
    name: str
    expected: str

    @cached_property
    def read(self) -> str:
        """What Zeus reads: a sequence, "mask" or "unknown"."""
        return meaning_of(self.name, is_description=self.kind == "series")

    @property
    def is_right(self) -> bool:
        """Whether Zeus reads what is meant."""
        return self.read == self.expected


def meaning_of(name: str, *, is_description: bool) -> str:
    """What a name means to Zeus: a sequence, "mask" or "unknown"."""
    said = read_name(name, shipped_vocabulary(), is_description=is_description)
    return MASK if said.is_mask else said.sequence or UNKNOWN


def read_table(path: Path) -> list[Reading]:
    """The names of a table.

    Raises:
        ValueError: it has another form, or a name twice in one entry.
    """
    text = path.read_text(encoding="utf-8")
    # BaseLoader keeps every scalar a text.
    entries = TypeAdapter(list[Entry]).validate_python(yaml.load(text, Loader=yaml.BaseLoader))
    return [
        Reading(entry.convention, entry.kind, name, expected)
        for entry in entries
        for name, expected in entry.names.items()
    ]


def rows(readings: Iterable[Reading]) -> list[tuple[str, int, list[Reading]]]:
    """For each convention: its name, the number of its names, and those that are read wrong."""
    by_convention: dict[str, list[Reading]] = {}
    for reading in readings:
        by_convention.setdefault(reading.convention, []).append(reading)
    return [
        (convention, len(found), [reading for reading in found if not reading.is_right])
        for convention, found in by_convention.items()
    ]


def totals(readings: Sequence[Reading]) -> str:
    """The figures of a table, in one line."""
    right = sum(reading.is_right for reading in readings)
    conventions = len({reading.convention for reading in readings})
    return f"{right} of {len(readings)} names of {conventions} conventions are read right"


def drawn(readings: Sequence[Reading], *, with_names: bool) -> Table:
    """The table for the terminal.

    Args:
        readings: the names.
        with_names: list every name; else the wrong ones.
    """
    table = Table("convention", "kind", "name", "means", "read as")
    for convention, count, wrong in rows(readings):
        table.add_section()
        table.add_row(convention, "", f"{count - len(wrong)} of {count} right", style="bold")
        own = [reading for reading in readings if reading.convention == convention]
        for reading in own if with_names else wrong:
            style = "" if reading.is_right else "red"
            cells = ("", reading.kind, reading.name, reading.expected, reading.read)
            table.add_row(*(Text(cell) for cell in cells), style=style)
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables and their totals."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tables", nargs="*", type=Path, default=[CONVENTIONS, HOSPITAL_NAMES])
    parser.add_argument("--names", action="store_true", help="list every name")
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    tables = {path.name: read_table(path) for path in options.tables}
    for readings in tables.values():
        console.print(drawn(readings, with_names=options.names))
    for name, readings in tables.items():
        console.print(f"{name}: {totals(readings)}")


if __name__ == "__main__":
    main()
