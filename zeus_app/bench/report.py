"""Writes the tables and plots of a suite beside its rows, and into a page."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from zeus_app.bench.jobs import in_words
from zeus_app.bench.layout import Cell, Grid, csv_text, grid_of, latex, markdown
from zeus_app.bench.pictures import panel, read_slice
from zeus_app.bench.plots import plots_of
from zeus_app.bench.row import Row, Rows
from zeus_app.bench.run import Options, PlannedJob, outlook
from zeus_app.bench.suite import Suite
from zeus_app.bench.tables import PartTable, part_tables, subset_scores
from zeus_app.errors import InputError
from zeus_app.reporting.marked_pages import replace_between_marks
from zeus_app.reporting.pictures import save_png
from zeus_app.storage.atomic import write_text_atomically


def write_report(
    suite: Suite, out: Path, into: Path | None = None, *, pictures: bool = False
) -> list[Path]:
    """Write table.csv, table.md, table.tex and the plots.

    Args:
        suite: the suite.
        out: folder of all suites' rows.
        into: a page whose part between the marks of the suite is replaced; its plots go to the
            folder images/ beside it.
        pictures: draw panels of the judged cases beside the rows. They never go into a page.

    Returns:
        The files.

    Raises:
        InputError: no row was measured yet, or the page has no marks.
    """
    rows = Rows(out / suite.name)
    parts = part_tables(suite, rows)
    _refuse_nothing(suite, parts)
    planned = outlook(suite, rows, Options(out))
    texts = {
        "table.csv": csv_text(parts),
        "table.md": _markdown(suite, parts, planned, rows.folder, rows.folder),
        "table.tex": _latex(suite, parts),
    }
    for name, text in texts.items():
        write_text_atomically(rows.folder / name, text)
    written = [*(rows.folder / name for name in texts), *_plots(parts, rows.folder)]
    if pictures:
        written += _panels(parts, rows.folder)
    return written + (_into_page(suite, parts, planned, into) if into else [])


def _refuse_nothing(suite: Suite, parts: Sequence[PartTable]) -> None:
    if not any(line.rows for part in parts for line in part.lines):
        raise InputError(
            f"no finished job of suite {suite.name}",
            expected="at least one row with the suite's present settings",
            remedy=f"run `zeus bench run {suite.words}` first",
        )


def _into_page(
    suite: Suite, parts: Sequence[PartTable], planned: Sequence[PlannedJob], page: Path
) -> list[Path]:
    images = page.parent / "images"
    text = _markdown(suite, parts, planned, images, page.parent)
    try:
        replace_between_marks(page, suite.name, text)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{page}: {error}",
            expected=f"a page with the marks of {suite.name}",
            remedy=f"add the lines <!-- {suite.name}: begin --> and <!-- {suite.name}: end -->",
        ) from error
    return [page, *_plots(parts, images, prefix=f"bench-{suite.name}-")]


def _plots(parts: Sequence[PartTable], folder: Path, *, prefix: str = "") -> list[Path]:
    return [
        save_png(figure, folder / f"{prefix}{part.part.name}-{kind}.png")
        for part in parts
        for kind, figure in plots_of(part).items()
    ]


def _markdown(
    suite: Suite,
    parts: Sequence[PartTable],
    planned: Sequence[PlannedJob],
    images: Path,
    page_folder: Path,
) -> str:
    """The text of all parts; links to plots are relative to the page."""
    prefix = "" if images == page_folder else f"bench-{suite.name}-"
    lines = [_made_by(suite, parts), ""]
    for part in parts:
        if not any(line.rows for line in part.lines):
            continue
        lines += [f"### {part.part.title}", "", _how(part), "", *markdown(grid_of(suite, part)), ""]
        lines += _subsets(part)
        for kind in plots_of(part):
            name = os.path.relpath(images / f"{prefix}{part.part.name}-{kind}.png", page_folder)
            lines += [f"![{part.part.title}: {kind}]({name})", ""]
    return "\n".join([*lines, *_not_run(suite, parts, planned)]) + "\n"


def _made_by(suite: Suite, parts: Sequence[PartTable]) -> str:
    rows = [row for part in parts for line in part.lines for row in line.rows]
    commits = sorted({row["commit"] or "unknown" for row in rows})
    machines = sorted({_machine(row) for row in rows})
    seconds = sum(row["wall_s"] for row in rows)
    return (
        f"Command: `zeus bench run {suite.words}`, then `zeus bench table {suite.words}`."
        f" {len(rows)} jobs, {in_words(seconds)} in all. Code: {', '.join(commits)}."
        f" Machine: {'; '.join(machines)}."
    )


def _machine(row: Row) -> str:
    machine = row["machine"]
    gpu = f", {machine['gpu']}" if "gpu" in machine else ""
    return f"{machine['processor']}, {machine['threads']} threads{gpu}"


def _how(part: PartTable) -> str:
    seconds = f"{part.part.seconds:g} s"
    if part.part.measure == "speed":
        return f"Steps of {seconds}; nothing is judged."
    return (
        f"Each training took {seconds} with the preparation of its patients."
        " Means over cases, with 95 % intervals from a bootstrap over patients."
    )


def _subsets(part: PartTable) -> list[str]:
    scores = subset_scores(part)
    if not scores:
        return []
    titles = [line.title for line in part.lines]
    rows = tuple(
        (Cell(subset), *(Cell(f"{v:.2f}" if (v := by.get(t)) is not None else "") for t in titles))
        for subset, by in scores.items()
    )
    head = Grid(("sequences", *titles), rows)
    return ["Mean DSC in percent with some of the sequences:", "", *markdown(head), ""]


def _not_run(
    suite: Suite, parts: Sequence[PartTable], planned: Sequence[PlannedJob]
) -> Iterator[str]:
    """What has no figure, and why."""
    reasons: dict[str, list[str]] = {}
    for each in planned:
        if each.state != "done":
            why = each.note or "not run yet"
            reasons.setdefault(why, []).append(each.job.id)
    if not (reasons or suite.not_run):
        return
    yield from ("Not run:", "")
    for left_out in suite.not_run:
        yield f"- {left_out.what}: {left_out.why}."
    for why, jobs in reasons.items():
        rest = f" and {len(jobs) - 3} more" if len(jobs) > 3 else ""
        yield f"- {', '.join(f'`{job}`' for job in jobs[:3])}{rest}: {why.rstrip('.')}."


def _latex(suite: Suite, parts: Sequence[PartTable]) -> str:
    tables = [
        "\n".join(latex(grid_of(suite, part), caption=part.part.title))
        for part in parts
        if any(line.rows for line in part.lines)
    ]
    return "% needs \\usepackage{booktabs}\n" + "\n\n".join(tables) + "\n"


def _panels(parts: Sequence[PartTable], folder: Path) -> Iterator[Path]:
    """One panel for each judged case of a part."""
    for part in parts:
        files: dict[str, dict[str, Path]] = {}
        for line in part.lines:
            for row in line.rows:
                for path in sorted((folder / "pictures" / row["job"]).glob("*.npz")):
                    files.setdefault(path.stem, {}).setdefault(line.title, path)
        for case, models in files.items():
            slices = {title: read_slice(path) for title, path in models.items()}
            name = folder / "panels" / f"{part.part.name}-{case}.png"
            yield save_png(panel(slices, title=f"{part.part.title}: {case}"), name)
