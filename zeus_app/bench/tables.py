"""The figures of a suite's rows: one line a model, with means over cases and 95 % intervals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from zeus_app.bench.jobs import Job, plan
from zeus_app.bench.row import FAILED, Row, Rows
from zeus_app.bench.scores import mean_over_labels
from zeus_app.bench.suite import PaperRow, Part, Suite

RESAMPLES, SEED = 2000, 0
"""Of the bootstrap over patients."""
_MILLION = 1e6
Rank = Literal["best", "second"]


@dataclass(frozen=True)
class Estimate:
    """A mean, with its 95 % interval; None for the interval of fewer than two patients."""

    mean: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Metric:
    """A column of the tables.

    Attributes:
        name: in CSV files.
        heading: in tables, with the unit.
        digits: after the decimal point.
        best: which value is best; None where none is.
        in_case: a case's scores -> its values; or None for a figure of the whole row.
        of_row: a row -> its value, or None where it has none.
    """

    name: str
    heading: str
    digits: int
    best: Literal["high", "low"] | None = None
    in_case: Callable[[Mapping[str, Mapping[str, float | None]]], list[float]] | None = None
    of_row: Callable[[Row], float | None] | None = None


def _percent(name: str, *, background: bool) -> Callable[[Mapping[str, object]], list[float]]:
    return lambda case: [100 * mean_over_labels(case, name, background=background)]


def _over_labels(name: str) -> Callable[[Mapping[str, Mapping[str, float | None]]], list[float]]:
    """The mean over the labels that have a value."""

    def values(case: Mapping[str, Mapping[str, float | None]]) -> list[float]:
        found = [value for value in case[name].values() if value is not None]
        return [float(np.mean(found))] if found else []

    return values


def _figure(name: str, *, unit: float = 1.0) -> Callable[[Row], float | None]:
    return lambda row: None if row.get(name) is None else row[name] / unit


SIZES = (
    Metric(
        "trained_m", "trained, M", 2, "low", of_row=_figure("trained_parameters", unit=_MILLION)
    ),
    Metric("total_m", "all, M", 1, of_row=_figure("total_parameters", unit=_MILLION)),
)
PEAK = Metric("peak_mib", "peak MiB", 0, of_row=_figure("peak_mib"))
MASKS = (
    Metric("dsc", "DSC, %", 2, "high", in_case=_percent("dsc", background=False)),
    Metric("miou", "mIoU, %", 2, "high", in_case=_percent("iou", background=False)),
    Metric("dsc_background", "DSC with background", 2, "high",
           in_case=_percent("dsc", background=True)),
    Metric("miou_background", "mIoU with background", 2, "high",
           in_case=_percent("iou", background=True)),
    Metric("hd95_mm", "HD95, mm", 1, "low", in_case=_over_labels("hd95_mm")),
    Metric("lesion_f1", "lesion F1", 3, "high", in_case=_over_labels("lesion_f1")),
    *SIZES,
    Metric("preparation_s", "preparation, s", 0, of_row=_figure("preparation_s")),
    Metric("training_s", "training, s", 0, of_row=_figure("training_s")),
    Metric("case_s", "a case, s", 1, of_row=lambda row: _case_s(row)),
    PEAK,
)  # fmt: skip
SPEED = (
    Metric("step_s", "a step, s", 2, "low", of_row=_figure("step_s")),
    Metric("epoch_s", "an epoch, s", 0, "low", of_row=_figure("epoch_s")),
    *SIZES,
    PEAK,
)


def _case_s(row: Row) -> float | None:
    """Mean seconds of preparing and segmenting a case, without anything cached."""
    cases = row["cases"].values()
    return float(np.mean([c["preparation_s"] + c["seconds"] for c in cases])) if cases else None


@dataclass(frozen=True)
class Line:
    """One model of a part.

    Attributes:
        title: the model, with the number of training patients if it is not all.
        rows: its finished rows, over folds and seeds.
        planned: number of its jobs.
        patients: number of training patients; 0 for all of the fold.
        cases: number of judged cases.
        estimates: name of a metric -> its figure; absent where nothing was measured.
        paper: the paper's row, if it has one.
    """

    title: str
    rows: tuple[Row, ...]
    planned: int
    patients: int
    cases: int
    estimates: Mapping[str, Estimate]
    paper: PaperRow | None = None


@dataclass(frozen=True)
class PartTable:
    """The lines of one part, in the order of its entries.

    Attributes:
        part: the part.
        metrics: its columns.
        lines: its models, also those without a finished job.
    """

    part: Part
    metrics: tuple[Metric, ...]
    lines: tuple[Line, ...]


def part_tables(suite: Suite, rows: Rows) -> list[PartTable]:
    """The tables of a suite, from the rows that belong to its present jobs."""
    jobs = plan(suite)
    return [_table(suite, part, [j for j in jobs if j.part == part.name], rows)
            for part in suite.parts]  # fmt: skip


def _table(suite: Suite, part: Part, jobs: Sequence[Job], rows: Rows) -> PartTable:
    metrics = MASKS if part.measure == "masks" else SPEED
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        few = f", {job.patients} patient{'s' * (job.patients > 1)}" if job.patients else ""
        groups.setdefault(f"{job.title}{few}", []).append(job)
    lines = tuple(_line(suite, title, of, metrics, rows) for title, of in groups.items())
    return PartTable(part, metrics, lines)


def _line(
    suite: Suite, title: str, jobs: Sequence[Job], metrics: Sequence[Metric], rows: Rows
) -> Line:
    found = [row for job in jobs if (row := rows.find(job)) and row["status"] != FAILED]
    estimates = {m.name: estimate for m in metrics if (estimate := estimate_of(m, found))}
    cases = {name for row in found for name in row["cases"]}
    return Line(
        title=title,
        rows=tuple(found),
        planned=len(jobs),
        patients=jobs[0].patients,
        cases=len(cases),
        estimates=estimates,
        paper=suite.paper_row(jobs[0].conf),
    )


def estimate_of(metric: Metric, rows: Sequence[Row]) -> Estimate | None:
    """A metric over rows that differ by fold and seed.

    Scores are means over cases; each case counts once, with the mean of its seeds. Other figures
    are means over rows.
    """
    if metric.in_case is None:
        assert metric.of_row is not None, "a metric is of cases or of rows"
        values = [value for row in rows if (value := metric.of_row(row)) is not None]
        return Estimate(float(np.mean(values))) if values else None
    by_case: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        for name, case in row["cases"].items():
            by_case.setdefault((case["patient"], name), []).extend(metric.in_case(case))
    of_patients: dict[str, list[float]] = {}
    for (patient, _), seeds in by_case.items():
        if seeds:
            of_patients.setdefault(patient, []).append(float(np.mean(seeds)))
    return with_interval(list(of_patients.values()))


def with_interval(patients: Sequence[Sequence[float]]) -> Estimate | None:
    """The mean over all cases, with the percentile bootstrap over patients.

    Args:
        patients: the values of each patient's cases.
    """
    if not patients:
        return None
    sums = np.array([sum(values) for values in patients])
    counts = np.array([len(values) for values in patients])
    mean = float(sums.sum() / counts.sum())
    if len(patients) < 2:
        return Estimate(mean)
    drawn = np.random.default_rng(SEED).integers(len(sums), size=(RESAMPLES, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Estimate(mean, float(low), float(high))


def ranks(lines: Sequence[Line], metric: Metric) -> dict[str, Rank]:
    """Title -> "best" or "second", by the figures as they are shown; equal ones share a rank.

    Models are compared with those that learned from as many patients. Where all figures are equal,
    none is the best.
    """
    groups: dict[int, dict[str, float]] = {}
    for line in lines:
        if metric.name in line.estimates:
            shown = round(line.estimates[metric.name].mean, metric.digits)
            groups.setdefault(line.patients, {})[line.title] = shown
    found: dict[str, Rank] = {}
    for group in groups.values() if metric.best else ():
        best, *others = sorted(set(group.values()), reverse=metric.best == "high")
        places: dict[float, Rank] = {best: "best", others[0]: "second"} if others else {}
        found |= {title: places[value] for title, value in group.items() if value in places}
    return found


def subset_scores(table: PartTable) -> dict[str, dict[str, float]]:
    """Subset of the sequences -> model -> mean DSC over cases, in percent."""
    scores: dict[str, dict[str, float]] = {}
    for line in table.lines:
        values: dict[str, list[float]] = {}
        for row in line.rows:
            for subset, cases in row["subsets"].items():
                values.setdefault(subset, []).extend(map(_dsc, cases.values()))
            if row["subsets"]:
                values.setdefault("all", []).extend(map(_dsc, row["cases"].values()))
        for subset, dsc in values.items():
            scores.setdefault(subset, {})[line.title] = float(np.mean(dsc))
    return scores


def _dsc(case: Mapping[str, object]) -> float:
    return 100 * mean_over_labels(case, "dsc")
