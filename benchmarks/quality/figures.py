"""Figures of an idea: means, the worst label, and the gain over another idea."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.runs import Run
from zeus_app.bench.scores import mean_dsc


@dataclass(frozen=True)
class Summary:
    """Figures of some runs of one idea. Every case of every seed counts the same.

    Attributes:
        folds, seeds: how many of each the runs have.
        mean: mean over cases of the mean DSC over labels, in [0, 1].
        spread: standard deviation of this mean over seeds; None with one seed.
        worst: lowest DSC of a label in a case.
        worst_place: that label and case.
        lesion_f1: mean lesion-wise F1 over cases and labels.
        hd95_mm: mean surface distance, over the masks that are not empty; None if all are.
        empty: predicted or true masks without a surface.
        steps: mean number of steps.
        step_s: median over runs of the median step, in seconds; None without steps.
        peak_mib: highest peak of the memory; None if unknown.
    """

    folds: int
    seeds: int
    mean: float
    spread: float | None
    worst: float
    worst_place: str
    lesion_f1: float
    hd95_mm: float | None
    empty: int
    steps: float
    step_s: float | None
    peak_mib: float | None


def summarise(runs: Sequence[Run]) -> Summary:
    """The figures of runs that differ by fold and seed."""
    cases = [case for run in runs for case in run["cases"].values()]
    seeds = sorted({run["seed"] for run in runs})
    by_seed = [_mean([run for run in runs if run["seed"] == seed]) for seed in seeds]
    worst, label, name = min(_labels(runs))
    distances = [value for case in cases for value in case["hd95_mm"].values()]
    finite = [value for value in distances if value is not None]
    step_s = [run["step_s"] for run in runs if run["step_s"] is not None]
    peaks = [run["peak_mib"] for run in runs if run["peak_mib"] is not None]
    return Summary(
        folds=len({run["fold"] for run in runs}),
        seeds=len(seeds),
        mean=_mean(runs),
        spread=float(np.std(by_seed, ddof=1)) if len(seeds) > 1 else None,
        worst=worst,
        worst_place=f"{label} of {name}",
        lesion_f1=float(np.mean([f1 for case in cases for f1 in case["lesion_f1"].values()])),
        hd95_mm=float(np.mean(finite)) if finite else None,
        empty=len(distances) - len(finite),
        steps=float(np.mean([run["steps"] for run in runs])),
        step_s=float(np.median(step_s)) if step_s else None,
        peak_mib=max(peaks, default=None),
    )


def gain(runs: Sequence[Run], others: Sequence[Run]) -> tuple[float, int] | None:
    """Difference of the mean DSC to another idea, over the folds and seeds that both have.

    Args:
        runs: runs of one idea.
        others: runs of the other, on the same target, for the same time and patients.

    Returns:
        The difference and the number of pairs; None if there is no pair.
    """
    by_place = {(run["fold"], run["seed"]): run for run in others}
    pairs = [
        (run, by_place[run["fold"], run["seed"]])
        for run in runs
        if (run["fold"], run["seed"]) in by_place
    ]
    if not pairs:
        return None
    return _mean([run for run, _ in pairs]) - _mean([other for _, other in pairs]), len(pairs)


def dsc_by_case(runs: Sequence[Run], subset: str = "") -> dict[str, float]:
    """Case -> mean DSC over labels and seeds.

    Args:
        runs: runs of one idea.
        subset: sequences joined by "+", or "" for all.
    """
    values: dict[str, list[float]] = {}
    for run in runs:
        scores = run["subsets"].get(subset, {}) if subset else run["cases"]
        for name, case in scores.items():
            values.setdefault(name, []).append(mean_dsc(case))
    return {name: float(np.mean(seeds)) for name, seeds in values.items()}


def _mean(runs: Sequence[Run]) -> float:
    return float(np.mean([mean_dsc(case) for run in runs for case in run["cases"].values()]))


def _labels(runs: Sequence[Run]) -> Iterator[tuple[float, str, str]]:
    """(DSC, label, case) of every mask."""
    for run in runs:
        for name, case in run["cases"].items():
            yield from ((value, label, name) for label, value in case["dsc"].items())
