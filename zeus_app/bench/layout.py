"""Tables as Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zeus_app.bench.suite import Suite
from zeus_app.bench.tables import Estimate, Line, Metric, PartTable, Rank, ranks
from zeus_app.reporting.marked_pages import table

_MARKDOWN: Mapping[Rank | None, str] = {None: "{}", "best": "**{}**", "second": "<u>{}</u>"}
_LATEX: Mapping[Rank | None, str] = {
    None: "{}",
    "best": r"\textbf{{{}}}",
    "second": r"\underline{{{}}}",
}
_LATEX_CHARACTERS = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#",
                     "$": r"\$", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
                     "^": r"\textasciicircum{}"}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A cell: its text, and whether it is the best or the second best of its column."""

    text: str
    mark: Rank | None = None


@dataclass(frozen=True)
class Grid:
    """A table without a layout: headings, and rows of cells."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def grid_of(suite: Suite, part: PartTable) -> Grid:
    """The cells of a part: model, cases, figures with intervals, and the paper's figures."""
    marks = {metric.name: ranks(part.lines, metric) for metric in part.metrics}
    paper = _paper_heads(part)
    rows = []
    for line in part.lines:
        cells = [Cell(line.title), Cell(str(line.cases) if line.rows else "")]
        for metric in part.metrics:
            estimate = line.estimates.get(metric.name)
            mark = marks[metric.name].get(line.title)
            cells.append(Cell(shown(estimate, metric), mark))
        cells += [Cell(text) for text in _paper_cells(part, line)] if paper else []
        rows.append(tuple(cells))
    head = ("model", "cases", *(metric.heading for metric in part.metrics), *paper)
    return Grid(head, tuple(rows))


def shown(estimate: Estimate | None, metric: Metric) -> str:
    """A figure with its interval: "81.20 [79.00, 83.10]"; "" without one."""
    if estimate is None:
        return ""
    digits = metric.digits
    mean = f"{estimate.mean:.{digits}f}"
    if estimate.low is None or estimate.high is None:
        return mean
    return f"{mean} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def _paper_heads(part: PartTable) -> tuple[str, ...]:
    has = any(line.paper and part.part.cohort in line.paper.figures for line in part.lines)
    return ("paper: DSC", "paper: mIoU", "paper: trained, M") if has else ()


def _paper_cells(part: PartTable, line: Line) -> list[str]:
    if line.paper is None or part.part.cohort not in line.paper.figures:
        return ["", "", ""]
    dsc, miou = line.paper.figures[part.part.cohort]
    count = line.paper.parameters_m
    return [f"{dsc:.2f}", f"{miou:.2f}", "" if count is None else f"{count:.2f}"]


def markdown(grid: Grid) -> list[str]:
    """Lines of a Markdown table; the best figure is bold, the second best underlined."""
    body = [[_MARKDOWN[cell.mark].format(cell.text) for cell in row] for row in grid.rows]
    return table(grid.head, body)


def latex(grid: Grid, *, caption: str) -> list[str]:
    """Lines of a LaTeX table for the package booktabs."""
    columns = "l" + "r" * (len(grid.head) - 1)
    body = [_latex_row([_LATEX[c.mark].format(escaped(c.text)) for c in row]) for row in grid.rows]
    return [
        r"\begin{table}",
        rf"\caption{{{escaped(caption)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _latex_row([escaped(text) for text in grid.head]),
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def escaped(text: str) -> str:
    """The text with LaTeX's special characters escaped."""
    return "".join(_LATEX_CHARACTERS.get(character, character) for character in text)


def csv_text(parts: Sequence[PartTable]) -> str:
    """Every figure of every part: mean, and both ends of the interval, without rounding."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    head = ["part", "model", "jobs", "planned", "cases", "metric", "mean", "low", "high"]
    writer.writerow([*head, "paper"])
    for part in parts:
        for line in part.lines:
            for metric in part.metrics:
                writer.writerow(_csv_row(part, line, metric))
    return file.getvalue()


def _csv_row(part: PartTable, line: Line, metric: Metric) -> list[object]:
    estimate = line.estimates.get(metric.name)
    figures = [None] * 3 if estimate is None else [estimate.mean, estimate.low, estimate.high]
    counts = [len(line.rows), line.planned, line.cases]
    return [part.part.name, line.title, *counts, metric.name, *figures, _paper(part, line, metric)]


def _paper(part: PartTable, line: Line, metric: Metric) -> float | None:
    if line.paper is None or part.part.cohort not in line.paper.figures:
        return None
    dsc, miou = line.paper.figures[part.part.cohort]
    return {"dsc": dsc, "miou": miou, "trained_m": line.paper.parameters_m}.get(metric.name)
