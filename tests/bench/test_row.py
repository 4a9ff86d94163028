"""Rows in files."""

import json
from pathlib import Path

import pytest

from tests.bench.rows import a_row, a_suite, scores
from zeus_app.bench.jobs import plan
from zeus_app.bench.row import Rows, failed_row, identity
from zeus_app.errors import InputError

EARLY, LATE = plan(a_suite())


def test_a_row_is_found_by_its_job_and_replaced_by_a_later_one(tmp_path: Path) -> None:
    rows = Rows(tmp_path)
    rows.put(failed_row(EARLY, "no memory", 1.0))
    rows.put(a_row(EARLY, {"a": scores(0.8, 0.7)}))
    found = rows.find(EARLY)
    assert found is not None
    assert found["status"] == "done"
    assert rows.find(LATE) is None
    assert len(rows.all()) == 1


def test_a_row_of_other_settings_is_not_the_job_s(tmp_path: Path) -> None:
    rows = Rows(tmp_path)
    rows.put(a_row(EARLY, {}))
    slower = plan(a_suite(seconds=200))[0]
    assert rows.find(slower) is None
    assert rows.has_other(slower)
    assert not rows.has_other(EARLY)


def test_a_row_tells_what_the_job_was() -> None:
    row = identity(EARLY)
    assert (row["suite"], row["job"], row["part"]) == ("tiny", EARLY.id, "p")
    assert row["conf"] == {"model": "quick", "fusion": "early"}
    assert (row["fold"], row["seed"], row["seconds"], row["target"]) == (0, 0, 100, "phantom")
    assert json.loads(json.dumps(row)) == row


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"digest": "x"}'])
def test_a_damaged_row_is_named(tmp_path: Path, text: str) -> None:
    rows = Rows(tmp_path)
    path = rows.path(EARLY.id)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(InputError, match=EARLY.id):
        rows.find(EARLY)
