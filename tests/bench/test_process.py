"""A job in a process of its own: whatever becomes of it, there is a row."""

import sys
import threading
import time
from pathlib import Path

import pytest

from tests.bench.rows import a_suite
from zeus_app.bench.jobs import Job, plan
from zeus_app.bench.measurement import Request
from zeus_app.bench.process import run_in_process
from zeus_app.bench.row import FAILED
from zeus_app.progress import silent

JOB = plan(a_suite())[0]


def program(code: str) -> list[str]:
    return [sys.executable, "-c", f"import json, os, sys, time\n{code}"]


def request_of(folder: Path, job: Job = JOB) -> Request:
    return Request(job, work=folder)


def run(folder: Path, code: str, job: Job = JOB) -> dict[str, object]:
    command = program(code)
    return run_in_process(request_of(folder, job), silent, log=folder / "log", command=command)


def test_the_row_and_the_progress_of_the_job_come_back(tmp_path: Path) -> None:
    code = """
job = json.loads(sys.stdin.readline())["job"]
print("a library says something")
print(json.dumps({"stage": "training", "done": 1, "total": 2}), flush=True)
print(json.dumps({"row": {"title": job["title"]}}))
"""
    stages: list[tuple[str, int, int]] = []
    row = run_in_process(
        request_of(tmp_path),
        lambda stage, done, total: stages.append((stage, done, total)),
        log=tmp_path / "log",
        command=program(code),
    )
    assert row == {"title": "quick, early"}
    assert stages == [("training", 1, 2)]


def test_a_refused_job_is_a_row_with_its_reason(tmp_path: Path) -> None:
    row = run(tmp_path, 'sys.stdin.readline(); print(json.dumps({"reason": "no weights"}))')
    assert (row["status"], row["reason"], row["job"]) == (FAILED, "no weights", JOB.id)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('odd shapes')", "ended with status 1: ValueError: odd shapes"),
        ("os.kill(os.getpid(), 9)", "ended by SIGKILL: it said nothing"),
        ("pass", "ended with status 0: it said nothing"),
    ],
)
def test_a_job_that_crashes_is_a_row_with_its_last_words(
    tmp_path: Path, code: str, reason: str
) -> None:
    row = run(tmp_path, code)
    assert (row["status"], row["reason"]) == (FAILED, reason)


def test_a_job_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    late = Job.model_validate({**JOB.model_dump(), "limit_s": 0.5})
    row = run(tmp_path, "time.sleep(600)", late)
    assert row["reason"] == "took longer than 0.5 s and was ended"


def test_a_stopped_run_ends_its_job(tmp_path: Path) -> None:
    code = """
import threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
print(json.dumps({"stage": str(os.getpid()), "done": 0, "total": 1}), flush=True)
time.sleep(600)
"""
    pids: list[int] = []

    def stop(stage: str, done: int, total: int) -> None:
        pids.append(int(stage))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_process(request_of(tmp_path), stop, log=tmp_path / "log", command=program(code))
    assert not Path(f"/proc/{pids[0]}").exists()


@pytest.mark.slow  # PyTorch and MONAI are imported in a new process
@pytest.mark.parametrize(
    ("model", "reason"),
    [("refused", "weights that are missing"), ("crashing", "ended by SIGABRT")],
)
def test_a_model_that_cannot_be_built_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, reason: str
) -> None:
    monkeypatch.setenv("ZEUS_PLUGINS", "tests.bench.quick_model")
    job = plan(a_suite(entries=[{"model": model}]))[0]
    row = run_in_process(Request(job, work=tmp_path), silent, log=tmp_path / "log")
    assert row["status"] == FAILED
    assert reason in row["reason"]


def test_no_thread_outlives_a_job(tmp_path: Path) -> None:
    before = threading.active_count()
    run(tmp_path, "sys.stdin.readline()")
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
