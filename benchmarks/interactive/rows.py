"""The stored rows: benchmarks/results/interactive.json."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from zeus_app.storage.atomic import write_text_atomically

Row = Mapping[str, Any]
"""One round: the fields of `RowKey`, `clicks`, `code`, and the lists of `rounds.Round`."""

ALL_SEQUENCES = "union"
"""Name of all sequences together in `RowKey.sequences`."""


@dataclass(frozen=True)
class RowKey:
    """What one row measures.

    Attributes:
        method: name in `methods.METHODS`, or TRUE_BOXES.
        target, study, label: their names.
        dimensions: 2 or 3.
        slice_index: the slice in 2-D; None in 3-D.
        sequences: name of the sequence that answers; ALL_SEQUENCES for all.
        seed: of torch, set before the first click.
    """

    method: str
    target: str
    study: str
    label: str
    dimensions: int
    slice_index: int | None
    sequences: str
    seed: int

    @classmethod
    def of(cls, row: Row) -> "RowKey":
        """The key of a stored row."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})


class Rows:
    """The rows of a JSON file, one a line.

    Args:
        path: the file; made with the first row.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        stored = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
        self._rows: dict[RowKey, Row] = {RowKey.of(row): row for row in stored}

    @property
    def all(self) -> list[Row]:
        """Every row, in the order of measurement."""
        return list(self._rows.values())

    def has(self, key: RowKey, *, clicks: int) -> bool:
        """Whether a row of this key has at least so many clicks."""
        return key in self._rows and self._rows[key]["clicks"] >= clicks

    def put(self, key: RowKey, **measured: Any) -> None:
        """Store a row in the place of an earlier row of its key."""
        self._rows[key] = {**asdict(key), **measured}
        lines = ",\n".join(json.dumps(row) for row in self._rows.values())
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(self._path, f'{{"rows": [\n{lines}\n]}}\n')
