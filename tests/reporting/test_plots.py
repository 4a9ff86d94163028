"""Curves and comparisons draw the given values and refuse values that cannot be drawn."""

import math

import numpy as np
import pytest

from zeus_app.errors import InputError
from zeus_app.reporting.curves import training_curve
from zeus_app.reporting.pictures import png_bytes
from zeus_app.reporting.plots import Panel, spread_by_label, spread_by_method
from zeus_app.reporting.values import CurvePoint

POINTS = (CurvePoint(1, 0.9), CurvePoint(2, 0.6, 0.4), CurvePoint(3, 0.5), CurvePoint(4, 0.4, 0.7))


def test_the_loss_is_drawn_at_every_epoch() -> None:
    line = training_curve(POINTS).axes[0].lines[0]
    np.testing.assert_array_equal(line.get_xydata(), [[1, 0.9], [2, 0.6], [3, 0.5], [4, 0.4]])


def test_the_score_is_drawn_where_it_was_measured() -> None:
    line = training_curve(POINTS).axes[1].lines[0]
    np.testing.assert_array_equal(line.get_xydata(), [[2, 0.4], [4, 0.7]])


def test_without_validation_there_is_no_score_axis() -> None:
    assert len(training_curve([CurvePoint(1, 0.9)]).axes) == 1


def test_an_epoch_whose_loss_is_not_finite_is_skipped() -> None:
    line = training_curve([CurvePoint(1, math.nan), CurvePoint(2, 0.5)]).axes[0].lines[0]
    np.testing.assert_array_equal(line.get_xydata(), [[2, 0.5]])


def test_a_curve_without_epochs_is_refused() -> None:
    with pytest.raises(InputError, match="without epochs"):
        training_curve([])


def test_each_method_has_a_box_and_each_case_a_dot() -> None:
    figure = spread_by_method({"Zeus": [0.8, 0.9, 0.7], "U-Net": [0.6]}, title="abdomen")
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["Zeus", "U-Net"]
    assert [np.asarray(dots.get_offsets())[:, 1].tolist() for dots in axes.collections] == [
        [0.8, 0.9, 0.7],
        [0.6],
    ]


def test_a_comparison_of_no_methods_is_refused() -> None:
    with pytest.raises(InputError, match="no method"):
        spread_by_method({}, title="nothing")


def test_a_score_that_is_not_finite_is_refused_by_its_methods_name() -> None:
    with pytest.raises(InputError, match="U-Net"):
        spread_by_method({"Zeus": [0.5], "U-Net": [math.nan]}, title="abdomen")


def test_a_comparison_becomes_a_png() -> None:
    figure = spread_by_method({"Zeus": [0.8], "best single sequence": [0.6]}, title="abdomen")
    assert png_bytes(figure).startswith(b"\x89PNG\r\n\x1a\n")


def test_each_panel_has_a_box_for_each_label_that_it_can_show() -> None:
    figure = spread_by_label(
        [
            Panel("DSC", {"lesion": [0.8, 0.9], "cyst": [1.0, 0.0]}),
            Panel("HD95, mm", {"lesion": [3.0, 40.0], "cyst": []}, top=None),
            Panel("lesion F1", {"lesion": [], "cyst": []}),
        ],
        title="2 cases",
    )
    first, second = figure.axes
    assert [tick.get_text() for tick in first.get_xticklabels()] == ["lesion", "cyst"]
    assert [tick.get_text() for tick in second.get_xticklabels()] == ["lesion"]
    assert (first.get_ylabel(), second.get_ylabel()) == ("DSC", "HD95, mm")
    dots = np.asarray(second.collections[0].get_offsets())[:, 1]
    assert dots.tolist() == [3.0, 40.0]
    assert second.get_ylim()[0] == 0
    assert second.get_ylim()[1] >= 40


def test_a_label_has_one_colour_in_all_panels() -> None:
    scores = {"lesion": [0.5], "cyst": [0.5]}
    figure = spread_by_label(
        [Panel("DSC", scores), Panel("HD95, mm", {"lesion": [], "cyst": [1.0]}, top=None)],
        title="",
    )
    first, second = (axes.collections[-1].get_facecolor() for axes in figure.axes)
    np.testing.assert_array_equal(first, second)


def test_panels_that_show_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="no score"):
        spread_by_label([Panel("DSC", {"lesion": []})], title="nothing")
