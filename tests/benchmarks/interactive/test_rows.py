from pathlib import Path

import pytest

from benchmarks.interactive.rows import RowKey, Rows

KEY = RowKey("clicks", "abdomen", "chaos_1", "liver", 2, 12, "union", 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results" / "interactive.json"


def test_a_row_outlives_the_run(path: Path) -> None:
    Rows(path).put(KEY, clicks=10, dsc=[0.5, 0.6])
    (row,) = Rows(path).all
    assert (RowKey.of(row), row["clicks"], row["dsc"]) == (KEY, 10, [0.5, 0.6])


def test_a_row_of_more_clicks_is_not_measured_again(path: Path) -> None:
    rows = Rows(path)
    rows.put(KEY, clicks=5)
    assert rows.has(KEY, clicks=3)
    assert not rows.has(KEY, clicks=10)


def test_a_row_takes_the_place_of_the_one_before(path: Path) -> None:
    rows = Rows(path)
    rows.put(KEY, clicks=5)
    rows.put(KEY, clicks=10)
    assert [row["clicks"] for row in Rows(path).all] == [10]


def test_a_missing_file_has_no_rows(path: Path) -> None:
    assert Rows(path).all == []
