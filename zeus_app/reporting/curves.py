"""The training curve: loss and validation DSC by epoch."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from zeus_app.errors import InputError
from zeus_app.reporting.pictures import blank_figure
from zeus_app.reporting.values import CurvePoint

LOSS_COLOUR, SCORE_COLOUR = "#6b7a90", "#0b6e99"


def training_curve(points: Sequence[CurvePoint]) -> Figure:
    """Plot the loss on the left axis, and the validation DSC, where measured, on the right axis.

    Epochs whose loss is not finite are skipped.

    Args:
        points: the epochs, in order.

    Raises:
        InputError: there is no epoch.
    """
    if not points:
        raise InputError(
            "a training curve without epochs",
            expected="at least one epoch",
            remedy="leave the curve out of the report when there was no training",
        )
    figure = blank_figure(7.2, 2.9)
    losses = figure.subplots()
    finite = [point for point in points if math.isfinite(point.loss)]
    losses.plot(
        [point.epoch for point in finite],
        [point.loss for point in finite],
        color=LOSS_COLOUR,
        marker="." if len(points) < 30 else None,
        label="training loss",
    )
    losses.set_xlabel("epoch")
    losses.set_ylabel("training loss", color=LOSS_COLOUR)
    losses.set_ylim(bottom=0)
    losses.xaxis.set_major_locator(MaxNLocator(integer=True))
    losses.grid(alpha=0.25)
    losses.spines[["top"]].set_visible(False)
    validated = [(point.epoch, point.score) for point in points if point.score is not None]
    if validated:
        scores = losses.twinx()
        scores.plot(*zip(*validated, strict=True), color=SCORE_COLOUR, marker="o", markersize=3.5)
        scores.set_ylim(0, 1)
        scores.set_ylabel("validation DSC", color=SCORE_COLOUR)
        scores.spines[["top"]].set_visible(False)
    return figure
