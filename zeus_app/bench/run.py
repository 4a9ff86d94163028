"""Runs the jobs of a suite, one after the other, each in a process of its own.

A row is stored as soon as its job ends. A run that was interrupted continues with the jobs that
have no row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from zeus_app.bench.cohorts import missing_data
from zeus_app.bench.jobs import EXTRA_S, Job, Shard, cost_s, in_words, plan
from zeus_app.bench.measurement import Request
from zeus_app.bench.process import run_in_process
from zeus_app.bench.provenance import code_version
from zeus_app.bench.row import FAILED, Row, Rows
from zeus_app.bench.suite import Suite
from zeus_app.progress import Report
from zeus_app.storage.process_lock import ProcessLock

State = Literal["run", "done", "failed", "no data"]
RunJob = Callable[[Request, Report, Path], dict[str, Any]]
"""(request, report, log) -> row. Raises nothing for a job that fails."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for.

    Attributes:
        out: folder of all suites' rows: reports/bench.
        data: name of a cohort -> folder of its downloaded dataset.
        shard: which of the jobs.
        again: run jobs that are done again.
        retry: run jobs that failed again.
        pictures: store one slice of each judged case.
    """

    out: Path
    data: Mapping[str, Path] = field(default_factory=dict)
    shard: Shard = field(default_factory=Shard)
    again: bool = False
    retry: bool = False
    pictures: bool = False


@dataclass(frozen=True)
class PlannedJob:
    """A job, and whether it has to run.

    Attributes:
        job: the job.
        state: "run", "done", "failed" or "no data".
        note: why.
    """

    job: Job
    state: State
    note: str = ""


def outlook(suite: Suite, rows: Rows, options: Options) -> list[PlannedJob]:
    """Every job of the shard, and whether it has to run."""
    return [_planned(job, rows, options) for job in options.shard.of_jobs(plan(suite))]


def _planned(job: Job, rows: Rows, options: Options) -> PlannedJob:
    row = rows.find(job)
    reason = missing_data(job, options.data.get(job.cohort_name))
    if row and row["status"] == FAILED and not (options.retry or options.again):
        return PlannedJob(job, "failed", row["reason"])
    if row and row["status"] != FAILED and not options.again:
        return PlannedJob(job, "done", f"measured with commit {row['commit'] or 'unknown'}")
    if reason:
        return PlannedJob(job, "no data", reason)
    changed = "its settings in the suite have changed" if rows.has_other(job) else ""
    return PlannedJob(job, "run", changed)


def other_code(planned: Sequence[PlannedJob], rows: Rows) -> list[str]:
    """The commits of finished rows that are not this code's."""
    finished = [rows.find(each.job) for each in planned if each.state == "done"]
    commits = {row["commit"] for row in finished if row}
    return sorted(commits - {code_version()})


def extra_s(rows: Sequence[Row]) -> float:
    """What a job takes besides its training: the mean of the finished rows, or an estimate.

    It is below 0 where trainings end before their time, or find their preparation in the cache.
    """
    measured = [row["wall_s"] - row["seconds"] for row in rows if row["status"] != FAILED]
    return sum(measured) / len(measured) if measured else EXTRA_S


def rows_of(suite: Suite, rows: Rows) -> list[Row]:
    """The rows of the suite's present jobs."""
    return [row for job in plan(suite) if (row := rows.find(job))]


def in_a_process(request: Request, report: Report, log: Path) -> dict[str, Any]:
    """Run a job in a process of its own."""
    return run_in_process(request, report, log=log)


def run(
    suite: Suite,
    options: Options,
    console: Console,
    *,
    run_job: RunJob = in_a_process,
) -> list[Row]:
    """Run every job of the shard that has no row.

    Args:
        suite: the suite.
        options: of the command line.
        console: shows the cost, each row and the progress.
        run_job: runs one job.

    Returns:
        The new rows, in their order.

    Raises:
        LockedError: another process runs the same shard in the same folder.
        KeyboardInterrupt: the user stopped the run; all rows so far are stored.
    """
    rows = Rows(options.out / suite.name)
    planned = outlook(suite, rows, options)
    for line in in_lines(suite, planned, rows):
        console.print(line, markup=False)
    jobs = [each.job for each in planned if each.state == "run"]
    if not jobs:
        return []
    shard = f"{options.shard.number}-of-{options.shard.of}"
    lock = ProcessLock(rows.folder / f"running-{shard}.lock", "the rows of this shard")
    with lock.hold("benchmark"), _bars(console) as progress:
        return _Loop(suite, options, rows, progress, run_job, shard).run(jobs)


def in_lines(suite: Suite, planned: Sequence[PlannedJob], rows: Rows) -> list[str]:
    """What a run will do, and what it costs."""
    states = [each.state for each in planned]
    jobs = [each.job for each in planned if each.state == "run"]
    cost = in_words(cost_s(jobs, extra_s=extra_s(rows_of(suite, rows))))
    lines = [f"{suite.name}: {len(planned)} jobs, {states.count('done')} done, {len(jobs)} to run:"
             f" about {cost}"]  # fmt: skip
    stuck: tuple[tuple[State, str], ...] = (
        ("failed", "; --retry runs them again"),
        ("no data", ""),
    )
    for state, remedy in stuck:
        reasons = {each.note for each in planned if each.state == state}
        lines += [f"{states.count(state)} {state}: {reason}{remedy}" for reason in sorted(reasons)]
    changed = [each for each in planned if each.state == "run" and each.note]
    if changed:
        lines.append(f"{len(changed)} rows are measured again: {changed[0].note}")
    others = other_code(planned, rows)
    if others:
        lines.append(
            f"finished rows are of other code ({', '.join(others)}; now {code_version()});"
            " --again measures them again"
        )
    return lines


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:g}/{task.total:g}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[rest]}"),
        console=console,
    )


@dataclass(frozen=True)
class _Loop:
    """The jobs of one run."""

    suite: Suite
    options: Options
    rows: Rows
    progress: Progress
    run_job: RunJob
    shard: str

    def run(self, jobs: Sequence[Job]) -> list[Row]:
        """Run the jobs; each row is stored before the next job begins."""
        new: list[Row] = []
        bar = self.progress.add_task(self.suite.name, total=len(jobs), rest="")
        stage = self.progress.add_task("", total=1, rest="", visible=False)
        for done, job in enumerate(jobs):
            rest_s = cost_s(jobs[done:], extra_s=extra_s(rows_of(self.suite, self.rows)))
            self.progress.update(bar, completed=done, rest=f"{in_words(rest_s)} left")
            row = self.run_job(
                self._request(job), self._report(stage, job), self.rows.folder / "logs" / job.id
            )
            self.rows.put(row)
            new.append(row)
            self.progress.console.print(f"{job.id}: {_in_words(row)}", markup=False)
        self.progress.update(bar, completed=len(jobs), rest="")
        return new

    def _request(self, job: Job) -> Request:
        folder = self.rows.folder
        return Request(
            job,
            work=self.options.out / "cache",
            data=self.options.data.get(job.cohort_name),
            pictures=folder / "pictures" / job.id if self.options.pictures else None,
            shard=self.shard,
        )

    def _report(self, bar: Any, job: Job) -> Report:
        def report(stage: str, done: int, total: int) -> None:
            self.progress.update(
                bar, description=f"{job.title}: {stage}", completed=done, total=total, visible=True
            )

        return report


def _in_words(row: Row) -> str:
    if row["status"] == FAILED:
        return f"failed after {in_words(row['wall_s'])}: {row['reason']}"
    cases = [value for case in row["cases"].values() for value in case["dsc"].values()]
    mean = f"DSC {100 * sum(cases) / len(cases):.1f} %" if cases else "not judged"
    return f"{mean}, {row['steps']} steps, {in_words(row['wall_s'])}"
