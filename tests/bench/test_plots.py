"""Plots of made-up rows."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from tests.bench.rows import a_row, a_suite, scores, stored
from zeus_app.bench.jobs import plan
from zeus_app.bench.plots import plots_of
from zeus_app.bench.row import Rows
from zeus_app.bench.tables import PartTable, part_tables

CASES = {name: scores(dsc, 0.5, patient=name) for name, dsc in (("a", 0.8), ("b", 0.6))}


def a_table(folder: Path) -> PartTable:
    suite = a_suite()
    return part_tables(suite, stored(suite, folder, [CASES, CASES]))[0]


def test_a_bar_ends_at_the_mean_and_the_paper_s_figure_is_a_diamond(tmp_path: Path) -> None:
    axes = plots_of(a_table(tmp_path))["bars"].axes[0]
    assert [cast(Rectangle, bar).get_width() for bar in axes.patches] == pytest.approx([70.0, 70.0])
    assert 81.76 in [x for line in axes.lines for x in np.asarray(line.get_xdata())]


def test_a_model_stands_over_its_trained_parameters(tmp_path: Path) -> None:
    axes = plots_of(a_table(tmp_path))["parameters"].axes[0]
    for line in axes.lines:
        np.testing.assert_allclose(np.asarray(line.get_xydata(), float), [[1.5, 70.0]])
    assert [text.get_text() for text in axes.texts] == ["quick, early", "quick, late"]


def test_a_curve_shows_the_loss_where_nothing_was_validated(tmp_path: Path) -> None:
    axes = plots_of(a_table(tmp_path))["curves"].axes[0]
    assert axes.get_ylabel() == "training loss"
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [0.9, 0.5])


def test_a_curve_shows_the_validation_where_there_was_one(tmp_path: Path) -> None:
    suite, rows = a_suite(), Rows(tmp_path)
    curve = [[45.0, 0.9, 0.2], [90.0, 0.5, 0.7]]
    for job in plan(suite):
        rows.put(a_row(job, CASES, curve=curve))
    axes = plots_of(part_tables(suite, rows)[0])["curves"].axes[0]
    assert axes.get_ylabel() == "validation DSC"
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [0.2, 0.7])


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    suite = a_suite()
    assert plots_of(part_tables(suite, Rows(tmp_path))[0]) == {}
