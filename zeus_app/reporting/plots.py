"""Plots that compare methods or labels by the spread of their scores over cases."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zeus_app.errors import InputError
from zeus_app.reporting.pictures import blank_figure

_TOP = 1.02  # so that a dot at 1 is seen whole
METHOD_COLOURS = ("#0b6e99", "#d9822b", "#3a8f5c", "#8c5ba8", "#b5473c", "#6b7a90")


def spread_by_method(
    scores: Mapping[str, Sequence[float]], *, title: str, score_name: str = "DSC per case"
) -> Figure:
    """Draw one box for each method, with one dot for each case.

    Args:
        scores: method -> a score in [0, 1] for each case.
        title: title of the plot.
        score_name: name of the value axis.

    Raises:
        InputError: there is no method, a method has no case, or a score is not finite.
    """
    _check(scores)
    figure = blank_figure(1.6 + 1.3 * len(scores), 3.4)
    axes = figure.subplots()
    _draw(axes, scores, dict(zip(scores, cycle(METHOD_COLOURS), strict=False)))
    _format_axes(axes, score_name, top=_TOP)
    axes.set_title(title, fontsize=10)
    return figure


@dataclass(frozen=True)
class Panel:
    """One score of all labels.

    Attributes:
        name: name of the score, with its unit.
        scores: label -> a score for each case that has one; finite, not negative.
        top: end of the axis; None for a score without a greatest value.
    """

    name: str
    scores: Mapping[str, Sequence[float]]
    top: float | None = _TOP


def spread_by_label(panels: Sequence[Panel], *, title: str) -> Figure:
    """Draw one panel for each score: one box for each label, with one dot for each case.

    Labels and panels without a score are left out. A label has the same colour in all panels.

    Raises:
        InputError: there is no score at all.
    """
    shown = [panel for panel in panels if any(map(len, panel.scores.values()))]
    if not shown:
        raise InputError(
            "no score to draw",
            expected="at least one score of one label",
            remedy="leave the plot out where no case could be compared",
        )
    colours = dict(zip(panels[0].scores, cycle(METHOD_COLOURS), strict=False))
    figure = blank_figure(len(shown) * (1.1 + 0.9 * len(colours)), 3.6)
    for axes, panel in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        _draw(axes, {name: scores for name, scores in panel.scores.items() if scores}, colours)
        _format_axes(axes, panel.name, top=panel.top)
    figure.suptitle(title, fontsize=10)
    return figure


def _draw(axes: Axes, scores: Mapping[str, Sequence[float]], colours: Mapping[str, str]) -> None:
    """Draw a box with its dots for each name."""
    boxes = axes.boxplot(
        [list(values) for values in scores.values()],
        tick_labels=[_wrap(name) for name in scores],
        widths=0.5,
        showfliers=False,  # the dots show all cases
        patch_artist=True,
        medianprops={"color": "black"},
    )
    for x, (box, name) in enumerate(zip(boxes["boxes"], scores, strict=True), start=1):
        box.set(facecolor=colours[name], alpha=0.30, edgecolor=colours[name])
        places = x + np.linspace(-0.12, 0.12, len(scores[name]))
        axes.scatter(places, scores[name], s=14, color=colours[name], zorder=3, clip_on=False)


def _check(scores: Mapping[str, Sequence[float]]) -> None:
    empty = [method for method, values in scores.items() if not len(values)]
    not_finite = [m for m, values in scores.items() if not all(math.isfinite(v) for v in values)]
    if not scores or empty or not_finite:
        raise InputError(
            f"scores of {', '.join(empty or not_finite) or 'no method'}: empty or not finite",
            expected="at least one method, each with finite scores",
            remedy="leave methods and cases without a measured score out of the plot",
        )


def _format_axes(axes: Axes, score_name: str, *, top: float | None) -> None:
    axes.set_ylabel(score_name)
    axes.set_ylim(0, top)
    axes.grid(axis="y", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _wrap(name: str) -> str:
    """Break a long name into two lines, so that it does not overlap its neighbours."""
    return name if len(name) <= 14 else name.replace(" ", "\n", 1)
