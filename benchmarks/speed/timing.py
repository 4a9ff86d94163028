"""Timing of functions, ratios and percentiles."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

Act = Callable[[int], object]
"""A function to time. Its argument is the number of the repetition, for example to vary slices."""


def seconds_of(act: Act, repetition: int = 0) -> float:
    """Wall-clock seconds of one call."""
    began = time.perf_counter()
    act(repetition)
    return time.perf_counter() - began


def alternating(acts: Mapping[str, Act], *, repeats: int, warm: int = 1) -> dict[str, list[float]]:
    """Time several functions alternately, so that a change of the machine's speed affects all.

    Args:
        acts: name -> function to time.
        repeats: number of timed calls of each.
        warm: number of calls before, which are not timed.

    Returns:
        name -> seconds of each repetition.
    """
    for repetition in range(warm):
        for act in acts.values():
            act(repetition)
    durations: dict[str, list[float]] = {name: [] for name in acts}
    for repetition in range(repeats):
        for name, act in acts.items():
            durations[name].append(seconds_of(act, repetition))
    return durations


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Ratio of the medians."""
    return statistics.median(above) / statistics.median(below)


def percentile(values: Sequence[float], share: float) -> float:
    """The percentile by nearest rank: at least this share of the values is not larger.

    Args:
        values: at least one.
        share: in (0, 1].
    """
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1]
