"""Plots of a part: bars with intervals, DSC against trained parameters, learning curves."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zeus_app.bench.row import Row
from zeus_app.bench.tables import Line, PartTable
from zeus_app.reporting.pictures import blank_figure
from zeus_app.reporting.plots import METHOD_COLOURS

_PAPER_COLOUR = "#333333"


def plots_of(part: PartTable) -> dict[str, Figure]:
    """Name -> figure, for the plots that the judged lines allow."""
    if part.part.measure == "speed":
        return {}
    scored = [line for line in part.lines if "dsc" in line.estimates]
    curved = [line for line in part.lines if any(len(row["curve"]) > 1 for row in line.rows)]
    figures = {}
    if scored:
        figures["bars"] = bars(scored, title=part.part.title, cohort=part.part.cohort)
        figures["parameters"] = dsc_by_parameters(scored, title=part.part.title)
    if curved:
        figures["curves"] = learning_curves(curved, title=part.part.title)
    return figures


def bars(lines: Sequence[Line], *, title: str, cohort: str = "") -> Figure:
    """Mean DSC of each model with its 95 % interval; the paper's figure as a diamond."""
    figure = blank_figure(6.5, 0.8 + 0.32 * len(lines))
    axes = figure.subplots()
    for y, line in enumerate(lines):
        dsc = line.estimates["dsc"]
        axes.barh(y, dsc.mean, height=0.6, color=_colour(y), alpha=0.7)
        if dsc.low is not None and dsc.high is not None:
            ends = [[dsc.mean - dsc.low], [dsc.high - dsc.mean]]
            axes.errorbar(dsc.mean, y, xerr=ends, color="black", capsize=3, linewidth=1)
        if line.paper is not None and cohort in line.paper.figures:
            axes.plot(line.paper.figures[cohort][0], y, "D", color=_PAPER_COLOUR, markersize=4)
    axes.set_yticks(range(len(lines)), [line.title for line in lines], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    _format(axes, title, "DSC per case, %, with 95 % interval")
    return figure


def dsc_by_parameters(lines: Sequence[Line], *, title: str) -> Figure:
    """Mean DSC of each model over its number of trained parameters, in millions."""
    figure = blank_figure(5.5, 3.6)
    axes = figure.subplots()
    for number, line in enumerate(lines):
        x, y = line.estimates["trained_m"].mean, line.estimates["dsc"].mean
        axes.plot(x, y, "o", color=_colour(number))
        axes.annotate(line.title, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=7)
    axes.set_xscale("log")
    axes.set_ylabel("DSC, %")
    _format(axes, title, "trained parameters, millions")
    return figure


def learning_curves(lines: Sequence[Line], *, title: str) -> Figure:
    """Validation DSC over seconds where trainings were validated, else the training loss."""
    validated = any(_curve(row, 2) for line in lines for row in line.rows)
    column, name = (2, "validation DSC") if validated else (1, "training loss")
    figure = blank_figure(6.0, 3.6)
    axes = figure.subplots()
    for number, line in enumerate(lines):
        for repeat, row in enumerate(line.rows):
            points = _curve(row, column)
            label = line.title if repeat == 0 else None
            axes.plot(*zip(*points, strict=True), color=_colour(number), label=label, linewidth=1)
    axes.set_ylabel(name)
    axes.legend(fontsize=7, frameon=False)
    _format(axes, title, "seconds of training, without preparation")
    return figure


def _curve(row: Row, column: int) -> list[tuple[float, float]]:
    return [(point[0], point[column]) for point in row["curve"] if point[column] is not None]


def _colour(number: int) -> str:
    return METHOD_COLOURS[number % len(METHOD_COLOURS)]


def _format(axes: Axes, title: str, x_name: str) -> None:
    axes.set_xlabel(x_name, fontsize=8)
    axes.set_title(title, fontsize=9)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
