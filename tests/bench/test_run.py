"""A run of a suite: rows are stored one by one, finished jobs are skipped, changes are said."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.bench.rows import a_row, a_suite, scores
from zeus_app.bench.jobs import EXTRA_S, Shard, plan
from zeus_app.bench.measurement import Request
from zeus_app.bench.row import FAILED, Rows, failed_row
from zeus_app.bench.run import Options, extra_s, in_lines, other_code, outlook, rows_of, run
from zeus_app.bench.suite import Suite, load_suite
from zeus_app.progress import Report
from zeus_app.storage.process_lock import LockedError, ProcessLock

FOUR_JOBS = a_suite(folds=[0, 1])


class Runner:
    """Runs no job: it takes down the request, and returns a made-up row."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.instead: dict[int, Callable[[Request], dict[str, Any]]] = {}

    def __call__(self, request: Request, report: Report, log: Path) -> dict[str, Any]:
        self.requests.append(request)
        report("training, seconds", 1, 2)
        instead = self.instead.get(len(self.requests))
        return instead(request) if instead else a_row(request.job, {"a": scores(0.8, 0.7)})

    @property
    def ids(self) -> list[str]:
        return [request.job.id for request in self.requests]


def stop(request: Request) -> dict[str, Any]:
    raise KeyboardInterrupt


def run_all(suite: Suite, runner: Runner, folder: Path, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    run(suite, Options(folder, **options), console, run_job=runner)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_every_job_is_run_and_its_row_is_stored(tmp_path: Path) -> None:
    runner = Runner()
    said = run_all(FOUR_JOBS, runner, tmp_path)
    assert runner.ids == [job.id for job in plan(FOUR_JOBS)]
    assert {row["job"] for row in Rows(tmp_path / "tiny").all()} == set(runner.ids)
    assert "tiny: 4 jobs, 0 done, 4 to run: about 9 min" in said  # 4 x (100 s + 30 s)
    assert "p-quick-early-fold0-seed0: DSC 80.0 %, 30 steps, 2 min" in said


def test_a_run_that_was_stopped_goes_on_with_the_jobs_that_have_no_row(tmp_path: Path) -> None:
    first, second = Runner(), Runner()
    first.instead[3] = stop
    with pytest.raises(KeyboardInterrupt):
        run_all(FOUR_JOBS, first, tmp_path)
    assert len(Rows(tmp_path / "tiny").all()) == 2
    run_all(FOUR_JOBS, second, tmp_path)
    assert second.ids == [job.id for job in plan(FOUR_JOBS)][2:]


def test_a_job_that_fails_is_a_row_and_does_not_end_the_others(tmp_path: Path) -> None:
    runner, again = Runner(), Runner()
    runner.instead[1] = lambda request: failed_row(request.job, "no memory", 3.0)
    said = run_all(FOUR_JOBS, runner, tmp_path)
    assert "failed after 3 s: no memory" in said
    assert [row["status"] for row in Rows(tmp_path / "tiny").all()].count(FAILED) == 1
    said = run_all(FOUR_JOBS, again, tmp_path)
    assert again.ids == []
    assert "1 failed: no memory; --retry runs them again" in said


def test_failed_jobs_are_run_again_if_asked(tmp_path: Path) -> None:
    Rows(tmp_path / "tiny").put(failed_row(plan(FOUR_JOBS)[1], "no memory", 3.0))
    runner = Runner()
    run_all(FOUR_JOBS, runner, tmp_path, retry=True)
    assert len(runner.ids) == 4


def test_finished_jobs_are_run_again_if_asked(tmp_path: Path) -> None:
    run_all(FOUR_JOBS, Runner(), tmp_path)
    runner = Runner()
    run_all(FOUR_JOBS, runner, tmp_path, again=True)
    assert len(runner.ids) == 4


def test_a_shard_runs_its_own_jobs_alone(tmp_path: Path) -> None:
    runner = Runner()
    run_all(FOUR_JOBS, runner, tmp_path, shard=Shard(2, 3))
    assert runner.ids == [plan(FOUR_JOBS)[1].id]
    assert runner.requests[0].shard == "2-of-3"


def test_a_changed_suite_is_noticed_and_its_jobs_are_measured_again(tmp_path: Path) -> None:
    run_all(FOUR_JOBS, Runner(), tmp_path)
    runner = Runner()
    said = run_all(a_suite(folds=[0, 1], seconds=50), runner, tmp_path)
    assert len(runner.ids) == 4
    assert "4 rows are measured again: its settings in the suite have changed" in said


def test_finished_rows_of_other_code_are_said(tmp_path: Path) -> None:
    run_all(FOUR_JOBS, Runner(), tmp_path)
    rows = Rows(tmp_path / "tiny")
    planned = outlook(FOUR_JOBS, rows, Options(tmp_path))
    assert other_code(planned, rows) == ["abc1234"]
    assert "--again measures them again" in in_lines(FOUR_JOBS, planned, rows)[-1]


def test_jobs_without_their_data_are_not_run_and_the_reason_is_said(tmp_path: Path) -> None:
    runner = Runner()
    said = run_all(load_suite("paper-table4"), runner, tmp_path)
    assert runner.ids == []
    assert "9 no data: no folder of chaos: send --data chaos=FOLDER" in said


def test_a_downloaded_dataset_is_handed_to_its_jobs(tmp_path: Path) -> None:
    runner = Runner()
    run_all(load_suite("paper-table4"), runner, tmp_path, data={"chaos": tmp_path / "CHAOS"})
    assert {request.data for request in runner.requests} == {tmp_path / "CHAOS"}


def test_pictures_are_stored_only_if_asked_for(tmp_path: Path) -> None:
    without, with_pictures = Runner(), Runner()
    run_all(FOUR_JOBS, without, tmp_path)
    run_all(FOUR_JOBS, with_pictures, tmp_path, again=True, pictures=True)
    assert {request.pictures for request in without.requests} == {None}
    first = with_pictures.requests[0]
    assert first.pictures == tmp_path / "tiny" / "pictures" / first.job.id


def test_two_runs_of_one_shard_at_a_time_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny" / "running-1-of-1.lock"
    with ProcessLock(path, "rows").hold("benchmark"), pytest.raises(LockedError):
        run_all(FOUR_JOBS, Runner(), tmp_path)


def test_what_a_job_takes_besides_its_training_is_measured_on_finished_rows() -> None:
    rows = [a_row(job, {}, wall_s=wall_s)
            for job, wall_s in zip(plan(a_suite()), (120.0, 140.0), strict=True)]  # fmt: skip
    assert extra_s([]) == EXTRA_S
    assert extra_s(rows) == 30.0


def test_rows_of_other_settings_say_nothing_about_the_cost(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "tiny")
    slower = plan(a_suite(seconds=5000))
    rows.put(a_row(slower[0], {}, wall_s=1.0))
    assert rows_of(a_suite(), rows) == []
    rows.put(a_row(plan(a_suite())[1], {}))
    assert [row["job"] for row in rows_of(a_suite(), rows)] == [plan(a_suite())[1].id]
