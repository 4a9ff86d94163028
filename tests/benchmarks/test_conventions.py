"""The table of conventions is read, counted and printed; docs/names.md quotes its totals."""

from pathlib import Path

import pytest

from benchmarks.conventions import (
    CONVENTIONS,
    HOSPITAL_NAMES,
    Reading,
    main,
    meaning_of,
    read_table,
    rows,
    totals,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "names.md"
TABLE = """
- convention: A clinic
  source: https://example.org
  checked: true
  kind: file
  names:
    anna_T1: T1
    no: unknown
    anna_T1_post: T2 # wrong
- convention: B
  kind: series
  names: {"SUB 1 T1": subtraction}
- convention: A clinic
  kind: folder
  names: {seg: mask}
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.yaml"
    path.write_text(TABLE)
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [("anna_T1_post", "T1Gd"), ("anna_seg", "mask"), ("anna", "unknown"), ("T1_x_T2", "unknown")],
)
def test_a_name_means_a_sequence_a_mask_or_nothing_known(name: str, expected: str) -> None:
    assert meaning_of(name, is_description=False) == expected


def test_a_table_is_read_as_it_is_written(table: Path) -> None:
    assert read_table(table) == [
        Reading("A clinic", "file", "anna_T1", "T1"),
        Reading("A clinic", "file", "no", "unknown"),
        Reading("A clinic", "file", "anna_T1_post", "T2"),
        Reading("B", "series", "SUB 1 T1", "subtraction"),
        Reading("A clinic", "folder", "seg", "mask"),
    ]


def test_a_series_is_read_as_a_description(table: Path) -> None:
    assert [reading.read for reading in read_table(table)] == [
        "T1", "unknown", "T1Gd", "subtraction", "mask",
    ]  # fmt: skip


def test_names_are_counted_by_convention(table: Path) -> None:
    (first, count, wrong), second = rows(read_table(table))
    assert (first, count, [reading.name for reading in wrong]) == ("A clinic", 4, ["anna_T1_post"])
    assert second == ("B", 1, [])


def test_the_totals_are_one_line(table: Path) -> None:
    assert totals(read_table(table)) == "4 of 5 names of 2 conventions are read right"


def test_another_form_is_refused(table: Path) -> None:
    table.write_text("- {convention: A, names: {x: T1}}")
    with pytest.raises(ValueError, match="kind"):
        read_table(table)


def test_the_command_prints_the_wrong_names(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(table)])
    printed = capsys.readouterr().out
    assert "anna_T1_post" in printed
    assert "anna_T1 " not in printed
    assert "3 of 4 right" in printed
    assert printed.endswith("table.yaml: 4 of 5 names of 2 conventions are read right\n")


def test_the_command_prints_every_name_on_demand(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(table), "--names"])
    printed = capsys.readouterr().out
    assert all(reading.name in printed for reading in read_table(table))


@pytest.mark.parametrize("path", [CONVENTIONS, HOSPITAL_NAMES], ids=lambda path: path.name)
def test_the_page_quotes_the_totals(path: Path) -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"{path.name}: {totals(read_table(path))}" in page
