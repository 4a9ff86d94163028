"""`zeus bench`: suites of models against each other, and their tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zeus_app.commands.terminal import stop_at_sigterm
from zeus_app.commands.threads import wait_passively

if TYPE_CHECKING:
    from zeus_app.bench.run import Options
    from zeus_app.bench.suite import Suite

bench_app = typer.Typer(help="Train and judge many models alike, and write their tables.")
SuiteName = Annotated[
    str,
    typer.Argument(
        help="local, local-full, llm4seg, paper-table2 to paper-table5, or path of a YAML."
    ),
]
OutFolder = Annotated[
    Path | None,
    typer.Option("-o", "--out", help="Folder of the rows.", show_default="reports/bench"),
]
Smoke = Annotated[
    bool, typer.Option("--smoke", help="The suite in its smallest size, on two phantoms.")
]
FAILED_EXIT_CODE = 1


@bench_app.command("run")
def run_suite(
    suite: SuiteName,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder of a downloaded dataset: NAME=FOLDER with the name of a cohort of the"
            " suite, or FOLDER alone where the suite has one. May be repeated."
        ),
    ] = None,
    shard: Annotated[
        str, typer.Option(help="i/n: each n-th job, beginning with the i-th; for several GPUs.")
    ] = "1/1",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the jobs with their cost, and run none.")
    ] = False,
    smoke: Smoke = False,
    again: Annotated[bool, typer.Option(help="Run finished jobs again.")] = False,
    retry: Annotated[bool, typer.Option(help="Run failed jobs again.")] = False,
    pictures: Annotated[
        bool,
        typer.Option(
            help="Store one slice of each judged case, for `zeus bench table --pictures`."
        ),
    ] = False,
    out: OutFolder = None,
) -> None:
    """Run the jobs of a suite that have no row yet, each in a process of its own.

    The cost is shown first. A row is stored as soon as its job ends; Ctrl-C loses the present job
    alone. A job that fails is a row with its reason.
    """
    wait_passively()
    stop_at_sigterm()
    from rich.console import Console

    from zeus_app.bench.jobs import Shard
    from zeus_app.bench.row import FAILED
    from zeus_app.bench.run import Options, run

    chosen = _suite(suite, smoke=smoke)
    options = Options(
        out=_folder(out),
        data=_data(chosen, data or []),
        shard=Shard.read(shard),
        again=again,
        retry=retry,
        pictures=pictures,
    )
    if dry_run:
        _list_jobs(chosen, options)
        return
    rows = run(chosen, options, Console(stderr=True, highlight=False))
    if any(row["status"] == FAILED for row in rows):
        raise typer.Exit(FAILED_EXIT_CODE)


@bench_app.command("table")
def write_table(
    suite: SuiteName,
    into: Annotated[
        Path | None,
        typer.Option(help="Page whose part between the marks of the suite is replaced."),
    ] = None,
    smoke: Smoke = False,
    pictures: Annotated[
        bool, typer.Option(help="Draw panels of the judged cases, if the run stored slices.")
    ] = False,
    out: OutFolder = None,
) -> None:
    """Write tables (CSV, Markdown, LaTeX) and plots of the rows of a suite.

    They lie beside the rows. What was not run is named, with the reason.
    """
    from zeus_app.bench.report import write_report

    for path in write_report(_suite(suite, smoke=smoke), _folder(out), into, pictures=pictures):
        typer.echo(path)


@bench_app.command("list")
def list_suites() -> None:
    """List the suites that come with Zeus, with the number of jobs and their cost."""
    from zeus_app.bench.jobs import cost_s, in_words, plan
    from zeus_app.bench.suite import load_suite, suite_names
    from zeus_app.commands.terminal import print_table

    rows = []
    for name in suite_names():
        suite = load_suite(name)
        jobs = plan(suite)
        rows.append([name, suite.about, str(len(jobs)), in_words(cost_s(jobs))])
    print_table("suites", ["name", "about", "jobs", "cost"], rows)


def _suite(name: str, *, smoke: bool) -> "Suite":
    from zeus_app.bench.suite import load_suite
    from zeus_app.bench.suite import smoke as in_smoke_size

    suite = load_suite(name)
    return in_smoke_size(suite) if smoke else suite


def _folder(out: Path | None) -> Path:
    from zeus_app.server.lifecycle.server_command import CHECKOUT

    return (out or CHECKOUT / "reports" / "bench").resolve()


def _data(suite: "Suite", texts: list[str]) -> dict[str, Path]:
    """Name of a cohort -> folder of its dataset."""
    from zeus_app.errors import InputError
    from zeus_app.settings.registry import lookup

    cohorts = {name: name for name, each in suite.cohorts.items() if each.data == "dataset"}
    folders: dict[str, Path] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not equals and len(cohorts) != 1:
            raise InputError(
                f"--data {text}",
                expected=f"NAME=FOLDER with a name of {', '.join(cohorts) or 'no dataset'}",
                remedy="name the cohort that the folder belongs to",
            )
        name = lookup("dataset of the suite", name, cohorts) if equals else next(iter(cohorts))
        folders[name] = Path(folder if equals else text).resolve()
    return folders


def _list_jobs(suite: "Suite", options: "Options") -> None:
    from zeus_app.bench.jobs import cost_s, in_words
    from zeus_app.bench.row import Rows
    from zeus_app.bench.run import extra_s, in_lines, outlook, rows_of
    from zeus_app.commands.terminal import print_table

    rows = Rows(options.out / suite.name)
    planned = outlook(suite, rows, options)
    extra = extra_s(rows_of(suite, rows))
    print_table(
        suite.about,
        ["job", "state", "cost", "note"],
        [
            [each.job.id, each.state, in_words(cost_s([each.job], extra_s=extra)), each.note]
            for each in planned
        ],
    )
    for line in in_lines(suite, planned, rows):
        typer.echo(line)
