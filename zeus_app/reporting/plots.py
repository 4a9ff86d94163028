"""Plots that compare methods by the spread of their scores over cases."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zeus_app.errors import InputError
from zeus_app.reporting.pictures import blank_figure

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
    boxes = axes.boxplot(
        [list(values) for values in scores.values()],
        tick_labels=[_wrap(name) for name in scores],
        widths=0.5,
        showfliers=False,  # the dots show all cases
        patch_artist=True,
        medianprops={"color": "black"},
    )
    for index, (box, values) in enumerate(zip(boxes["boxes"], scores.values(), strict=True)):
        colour = METHOD_COLOURS[index % len(METHOD_COLOURS)]
        box.set(facecolor=colour, alpha=0.30, edgecolor=colour)
        x = index + 1 + np.linspace(-0.12, 0.12, len(values))
        axes.scatter(x, values, s=14, color=colour, zorder=3)
    _format_axes(axes, title, score_name)
    return figure


def _check(scores: Mapping[str, Sequence[float]]) -> None:
    empty = [method for method, values in scores.items() if not len(values)]
    not_finite = [m for m, values in scores.items() if not all(math.isfinite(v) for v in values)]
    if not scores or empty or not_finite:
        raise InputError(
            f"scores of {', '.join(empty or not_finite) or 'no method'}: empty or not finite",
            expected="at least one method, each with finite scores",
            remedy="leave methods and cases without a measured score out of the plot",
        )


def _format_axes(axes: Axes, title: str, score_name: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_ylabel(score_name)
    axes.set_ylim(0, 1.02)
    axes.grid(axis="y", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _wrap(name: str) -> str:
    """Break a long name into two lines, so that it does not overlap its neighbours."""
    return name if len(name) <= 14 else name.replace(" ", "\n", 1)
