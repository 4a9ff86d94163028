"""The tables and the plot in docs/interactive.md."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure

from benchmarks.interactive.figures import (
    BEST_SEQUENCE,
    Summary,
    best_sequence_rows,
    grouped,
    summarise,
)
from benchmarks.interactive.measure import POINTS, TRUE_BOXES
from benchmarks.interactive.rows import ALL_SEQUENCES, Row
from benchmarks.pages import replace_between_marks, table
from zeus_app.reporting.pictures import save_png
from zeus_app.server.lifecycle.server_command import CHECKOUT

DOCS = CHECKOUT / "docs"
COLUMNS = (1, 2, 3, 5, 10)
NAMES = {POINTS: "LiteMedSAM, bare points", TRUE_BOXES: "LiteMedSAM, true boxes"}
EXPLANATION = """\
nAUC is the mean DSC over all clicks. "harmful" is the share of further clicks that lowered the DSC
by more than 0.01. "cold" is the median time of a first click, for which pictures are encoded, and
"warm" that of clicks for which all is encoded. "best sequence" is chosen afterwards for each scene.
Bare points and true boxes are LiteMedSAM's decoder on the first sequence. Each part of the true
mask has its own box. The true mask of the prostate comes from a machine."""
HEAD = [
    "target",
    "shown",
    "scenes",
    *(f"{n} click{'s' * (n > 1)}" for n in COLUMNS),
    "nAUC",
    "harmful",
    "cold, s",
    "warm, s",
]


def write_page(rows: Sequence[Row]) -> None:
    """Write the plot, and the tables between the marks of docs/interactive.md."""
    save_png(plot(rows), DOCS / "images" / "interactive.png")
    replace_between_marks(DOCS / "interactive.md", "clicks", page(rows))


def page(rows: Sequence[Row]) -> str:
    """The tables of 2-D and 3-D in Markdown, and the plot."""
    lines = []
    for of_dimension in grouped(sorted(rows, key=lambda row: row["dimensions"]), "dimensions"):
        dimensions = of_dimension[0]["dimensions"]
        lines += [f"{dimensions}-D, {_where(dimensions)}:", "", *_table(of_dimension), ""]
    commits = ", ".join(sorted({f"`{row['code']}`" for row in rows}))
    lines += [EXPLANATION, "", f"Commit: {commits}.", ""]
    return "\n".join([*lines, "![DSC against clicks](images/interactive.png)"])


def plot(rows: Sequence[Row]) -> Figure:
    """One panel for each target and dimension: mean DSC against clicks."""
    panels = list(grouped(sorted(rows, key=lambda row: row["dimensions"]), "dimensions", "target"))
    figure = Figure(figsize=(3.2 * len(panels), 4.4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for axis, panel in zip(axes, panels, strict=True):
        for name, same in _named(panel):
            dsc = summarise(same).dsc
            style = "--" if name in NAMES.values() else ":" if name == BEST_SEQUENCE else "-"
            width = 2.2 if ALL_SEQUENCES in name else 1.2
            axis.plot(range(1, len(dsc) + 1), dsc, style, lw=width, label=name)
        title = f"{panel[0]['target']}, {panel[0]['dimensions']}-D"
        axis.set(title=title, xlabel="clicks", ylim=(0, 1))
        axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    axes[0].set_ylabel("mean DSC")
    return figure


def _where(dimensions: int) -> str:
    return "single slices" if dimensions == 2 else "whole volumes, all sequences"


def _table(rows: Sequence[Row]) -> list[str]:
    body = []
    for of_target in grouped(rows, "target"):
        target = of_target[0]["target"]
        body += [_line(target, name, same) for name, same in _named(of_target)]
        labels = list(grouped(of_target, "label"))
        if len(labels) > 1:
            for of_label in labels:
                together = [row for row in of_label if row["sequences"] == ALL_SEQUENCES]
                title = f"{target}: {of_label[0]['label']}"
                body += [_line(title, name, same) for name, same in _named(together)]
    return table(HEAD, body)


def _named(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Rows of one target in groups with a name: methods, sequences, and the best sequence."""
    for of_method in grouped(rows, "method"):
        method = of_method[0]["method"]
        if method in NAMES:
            yield NAMES[method], of_method
            continue
        for same in grouped(of_method, "sequences"):
            yield f"{method}, {same[0]['sequences']}", same
        if best := best_sequence_rows(of_method):
            yield f"{method}, {BEST_SEQUENCE}", best


def _line(target: str, name: str, rows: Sequence[Row]) -> list[str]:
    summary = summarise(rows)
    return [target, name, str(summary.scenes), *_scores(summary), *_seconds(summary)]


def _scores(summary: Summary) -> list[str]:
    dsc = [f"{summary.dsc[n - 1]:.3f}" if n <= len(summary.dsc) else "" for n in COLUMNS]
    share = summary.harmful_share
    return [*dsc, f"{summary.nauc:.3f}", "" if share is None else f"{share:.0%}"]


def _seconds(summary: Summary) -> list[str]:
    return ["" if s is None else f"{s:.2f}" for s in (summary.cold_s, summary.warm_s)]
