"""Seconds, and what is made of them."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

Act = Callable[[int], object]
"""Something to time; told which repetition it is, so that it can take other slices each time."""


def seconds_of(act: Act, repetition: int = 0) -> float:
    """Wall-clock seconds of one call."""
    began = time.perf_counter()
    act(repetition)
    return time.perf_counter() - began


def alternating(acts: Mapping[str, Act], *, repeats: int, warm: int = 1) -> dict[str, list[float]]:
    """Time several things in turn, so that whatever slows the machine down slows all of them.

    Args:
        acts: name -> what to time.
        repeats: how often each is timed.
        warm: how often each is called before, untimed.

    Returns:
        name -> seconds of each repetition.
    """
    for repetition in range(warm):
        for act in acts.values():
            act(repetition)
    taken: dict[str, list[float]] = {name: [] for name in acts}
    for repetition in range(repeats):
        for name, act in acts.items():
            taken[name].append(seconds_of(act, repetition))
    return taken


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Of the medians."""
    return statistics.median(above) / statistics.median(below)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of all values does not pass (nearest rank).

    Args:
        values: at least one.
        share: in (0, 1].
    """
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1]
