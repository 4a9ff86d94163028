"""`zeus bench` on the command line."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.bench.rows import a_row, scores
from zeus_app.bench import run as running
from zeus_app.bench.jobs import plan
from zeus_app.bench.row import Rows, failed_row
from zeus_app.bench.suite import load_suite
from zeus_app.commands.main import app

SUITE = """
name: tiny
about: two fusions
cohorts:
  few: {data: phantoms, target: phantom, folds: [[phantom_00], [phantom_01], [phantom_02]]}
parts:
  - name: p
    title: Fusions
    cohort: few
    seconds: 100
    entries:
      - {model: unet, fusion: [early, late]}
"""


@pytest.fixture
def suite(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE)
    return str(path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "bench"


def called(*words: object) -> Result:
    return CliRunner().invoke(app, ["bench", *map(str, words)], env={"COLUMNS": "200"})


def let_jobs_end(monkeypatch: pytest.MonkeyPatch, *, fail: bool = False) -> None:
    def run_job(request: Any, report: Any, *, log: Path) -> dict[str, Any]:
        job = request.job
        return failed_row(job, "no memory", 1) if fail else a_row(job, {"a": scores(0.8, 0.7)})

    monkeypatch.setattr(running, "run_in_process", run_job)


def test_a_dry_run_lists_every_job_with_its_cost_and_runs_none(suite: str, out: Path) -> None:
    result = called("run", suite, "--dry-run", "-o", out)
    assert result.exit_code == 0, result.output
    assert "p-u-net-early-fold0-seed0" in result.output
    assert "tiny: 2 jobs, 0 done, 2 to run: about 4 min" in result.output  # 2 x (100 s + 30 s)
    assert not out.exists()


def test_a_run_and_its_table(suite: str, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_jobs_end(monkeypatch)
    assert called("run", suite, "-o", out).exit_code == 0
    result = called("table", suite, "-o", out)
    assert result.exit_code == 0, result.output
    assert "| U-Net, early | 1 | 80.00 |" in (out / "tiny" / "table.md").read_text()
    assert str(out / "tiny" / "table.tex") in result.output.replace("\n", "")


def test_a_failed_job_is_told_by_the_exit_code(
    suite: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_jobs_end(monkeypatch, fail=True)
    assert called("run", suite, "-o", out).exit_code == 1


def test_a_shard_runs_its_share(suite: str, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_jobs_end(monkeypatch)
    assert called("run", suite, "-o", out, "--shard", "2/2").exit_code == 0
    assert [row["title"] for row in Rows(out / "tiny").all()] == ["U-Net, late"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "locall"), "did you mean 'local'"),
        (("run", "local", "--shard", "3/2"), "shard 3/2"),
        (("run", "paper-table2", "--data", "folder"), "NAME=FOLDER"),
        (("run", "paper-table2", "--data", "chao=folder"), "did you mean 'chaos'"),
        (("run", "local", "--data", "folder"), "no dataset"),
        (("table", "local"), "zeus bench run local"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(
    words: tuple[str, ...], message: str, out: Path
) -> None:
    result = called(*words, "-o", out)
    assert result.exit_code == 2
    assert message in result.output


def test_the_folder_of_the_only_dataset_needs_no_name(out: Path, tmp_path: Path) -> None:
    result = called("run", "paper-table4", "--dry-run", "--data", tmp_path, "-o", out)
    assert "paper-table4: 9 jobs, 0 done, 9 to run" in result.output


def test_the_smoke_size_is_on_phantoms_and_has_rows_of_its_own(out: Path) -> None:
    result = called("run", "paper-table5", "--smoke", "--dry-run", "-o", out)
    assert "paper-table5-smoke: 1 jobs" in result.output


def test_the_suites_are_listed_with_their_cost() -> None:
    result = called("list")
    assert result.exit_code == 0
    for name in ("local", "paper-table2"):
        assert name in result.output
    assert str(len(plan(load_suite("local")))) in result.output
