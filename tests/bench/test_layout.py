"""Markdown, LaTeX and CSV of small tables, to the letter."""

import csv
import io
from pathlib import Path

from tests.bench.rows import a_suite, scores, stored
from zeus_app.bench.layout import Cell, Grid, csv_text, escaped, grid_of, latex, markdown, shown
from zeus_app.bench.tables import MASKS, Estimate, part_tables

DSC = MASKS[0]
GRID = Grid(
    ("model", "DSC, %"),
    (
        (Cell("U-Net"), Cell("80.00", "second")),
        (Cell("Zeus & co"), Cell("81.20 [79.00, 83.10]", "best")),
        (Cell("none"), Cell("")),
    ),
)


def test_markdown_marks_the_best_bold_and_the_second_best_underlined() -> None:
    assert markdown(GRID) == [
        "| model | DSC, % |",
        "| --- | ---: |",
        "| U-Net | <u>80.00</u> |",
        "| Zeus & co | **81.20 [79.00, 83.10]** |",
        "| none |  |",
    ]


def test_latex_is_a_table_of_booktabs() -> None:
    assert latex(GRID, caption="50 % of it") == [
        r"\begin{table}",
        r"\caption{50 \% of it}",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"model & DSC, \% \\",
        r"\midrule",
        r"U-Net & \underline{80.00} \\",
        r"Zeus \& co & \textbf{81.20 [79.00, 83.10]} \\",
        r"none &  \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def test_latex_s_special_characters_are_escaped() -> None:
    assert escaped(r"a_b{c}\#") == r"a\_b\{c\}\textbackslash{}\#"


def test_a_figure_is_told_with_its_interval() -> None:
    assert shown(Estimate(81.2, 79.0, 83.104), DSC) == "81.20 [79.00, 83.10]"
    assert shown(Estimate(81.2), DSC) == "81.20"
    assert shown(None, DSC) == ""


def test_the_paper_s_figures_stand_in_columns_of_their_own(tmp_path: Path) -> None:
    suite = a_suite()
    (table,) = part_tables(suite, stored(suite, tmp_path, [{"a": scores(0.8, 0.7)}]))
    grid = grid_of(suite, table)
    assert grid.head[-3:] == ("paper: DSC", "paper: mIoU", "paper: trained, M")
    early, late = ([cell.text for cell in row] for row in grid.rows)
    assert early[:4] == ["quick, early", "1", "80.00", "70.00"]
    assert early[-3:] == ["", "", ""]
    assert late[:4] == ["quick, late", "", "", ""]
    assert late[-3:] == ["81.76", "80.50", "54.94"]


def test_the_csv_file_has_every_figure_without_rounding(tmp_path: Path) -> None:
    suite = a_suite()
    parts = part_tables(suite, stored(suite, tmp_path, [{"a": scores(0.8123456, 0.7)}]))
    rows = {(r["model"], r["metric"]): r for r in csv.DictReader(io.StringIO(csv_text(parts)))}
    row = rows["quick, early", "dsc"]
    assert float(row["mean"]) == 81.23456
    assert (row["jobs"], row["planned"], row["cases"], row["low"]) == ("1", "1", "1", "")
    assert rows["quick, late", "trained_m"]["paper"] == "54.94"
