"""Figures of rows: DSC after each click, nAUC, the share of clicks that did harm, seconds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.interactive.rows import ALL_SEQUENCES, Row

HARM = 0.01
"""A click does harm if it lowers the DSC by more than this."""
BEST_SEQUENCE = "best sequence"
"""Name of the sequence that is chosen afterwards, for each scene."""


@dataclass(frozen=True)
class Summary:
    """Figures of rows that differ by scene alone. Every scene counts the same.

    Attributes:
        scenes: number of rows.
        dsc: mean DSC after 1, 2, ... clicks.
        steps: number of further clicks; the first click of a scene is none.
        harmful: how many of them lowered the DSC by more than HARM.
        cold_s: median seconds of first clicks that encoded pictures; None without any.
        warm_s: median seconds of clicks that encoded nothing; None without any.
    """

    scenes: int
    dsc: tuple[float, ...]
    steps: int
    harmful: int
    cold_s: float | None
    warm_s: float | None

    @property
    def nauc(self) -> float:
        """Mean of the DSC over the clicks: the normalised area under the curve."""
        return float(np.mean(self.dsc))

    @property
    def harmful_share(self) -> float | None:
        """Share of the further clicks that lowered the DSC by more than HARM."""
        return self.harmful / self.steps if self.steps else None


def summarise(rows: Sequence[Row]) -> Summary:
    """The figures of rows, over as many clicks as all of them have."""
    clicks = min(row["clicks"] for row in rows)
    steps = [step for row in rows for step in steps_of(row)]
    cold = [row["seconds"][0] for row in rows if row["is_cold"] and row["is_cold"][0]]
    warm = [
        seconds
        for row in rows
        for seconds, is_cold in zip(row["seconds"], row["is_cold"], strict=True)
        if not is_cold
    ]
    return Summary(
        scenes=len(rows),
        dsc=tuple(np.mean([curve(row, clicks) for row in rows], axis=0).tolist()),
        steps=len(steps),
        harmful=sum(map(is_harmful, steps)),
        cold_s=float(np.median(cold)) if cold else None,
        warm_s=float(np.median(warm)) if warm else None,
    )


def curve(row: Row, clicks: int) -> list[float]:
    """DSC after each of `clicks` clicks. After the last answer, the DSC stays."""
    dsc: list[float] = row["dsc"][:clicks]
    return dsc + [dsc[-1]] * (clicks - len(dsc))


def steps_of(row: Row) -> list[float]:
    """What each further click added to the DSC."""
    return [after - before for before, after in pairwise(row["dsc"])]


def is_harmful(step: float) -> bool:
    """Whether a step lowers the DSC by more than HARM. A rounding error does not count."""
    return step < -HARM - 1e-9


def best_sequence_rows(rows: Sequence[Row]) -> list[Row]:
    """For each scene, the row of the single sequence with the highest nAUC.

    Args:
        rows: of one method, in 2-D. Rows of all sequences together are left out.
    """
    alone = [row for row in rows if row["sequences"] != ALL_SEQUENCES]
    scenes = grouped(alone, "study", "label", "slice_index", "seed")
    return [max(same, key=lambda row: np.mean(curve(row, row["clicks"]))) for same in scenes]


def grouped(rows: Sequence[Row], *names: str) -> Iterator[list[Row]]:
    """Rows with equal values of these fields, each group in the order of its first row."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    yield from groups.values()
