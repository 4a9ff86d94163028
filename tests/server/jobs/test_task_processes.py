"""Every task is a process; whatever becomes of it, its status and its result tell."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil
import pytest
from monailabel.utils.async_tasks.utils import (
    background_executors,
    background_processes,
    background_tasks,
)

from tests.waiting import wait_until
from zeus_app.errors import CancelledError, InputError
from zeus_app.server.jobs import task_processes
from zeus_app.server.jobs.task_processes import (
    TaskFailedError,
    TaskRunsError,
    start_task,
    stop_task,
    tasks_of,
)
from zeus_app.server.lifecycle.server_command import server_environment

END_S = 120


@pytest.fixture(autouse=True)
def _fake_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(task_processes, "WORKER", "tests.server.fakes.fake_worker")
    tables: tuple[dict[str, Any], ...] = (
        background_tasks, background_processes, background_executors,
    )  # fmt: skip
    for table in tables:
        table.clear()
    yield
    for executor in background_executors.values():
        executor.shutdown()
    for table in tables:
        table.clear()


def started(do: str, **request: object) -> "Future[Any]":
    return start_task("train", {"do": do, **request})[1]


def newest() -> dict[str, Any]:
    return tasks_of("train")[-1]


def test_a_result_comes_back_and_the_task_is_done() -> None:
    result = started("echo", epochs=3).result(END_S)
    assert result["request"] == {"do": "echo", "epochs": 3}
    assert newest()["status"] == "DONE"
    assert newest()["end_ts"] >= newest()["start_ts"]


def test_the_request_is_on_no_command_line_and_may_be_long() -> None:
    result = started("echo", exclude="x" * 200_000).result(END_S)
    assert len(result["request"]["exclude"]) == 200_000
    assert sum(map(len, result["arguments"])) < 1000
    assert not Path(result["arguments"][1]).exists()  # the folder is removed at the end


def test_the_environment_is_the_server_s_whatever_the_request_says() -> None:
    folder = "/tmp/attack"
    result = started("echo", bundle_path=folder, gpus="7").result(END_S)
    assert result["request"]["bundle_path"] == folder  # it is no more than a value
    environment = server_environment()
    assert folder not in environment["PYTHONPATH"]


def test_a_refusal_of_the_task_is_bad_input_and_an_error_with_the_reason() -> None:
    with pytest.raises(InputError, match="an unlucky seed") as caught:
        started("refuse").result(END_S)
    assert caught.value.status == 400
    assert newest()["status"] == "ERROR"
    assert "an unlucky seed" in newest()["details"][-1]


def test_a_task_that_fails_is_an_error_with_the_reason() -> None:
    with pytest.raises(TaskFailedError, match="exit code 1; ValueError: the network exploded"):
        started("fail").result(END_S)
    assert newest()["status"] == "ERROR"
    assert "the network exploded" in newest()["details"][-1]


def test_a_process_that_is_killed_is_an_error_with_the_signal() -> None:
    with pytest.raises(TaskFailedError, match="SIGKILL"):
        started("die").result(END_S)
    assert newest()["status"] == "ERROR"
    assert "SIGKILL" in newest()["details"][-1]


def test_a_process_that_cannot_start_is_an_error_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*command: object, **options: object) -> None:
        raise OSError(7, "Argument list too long")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(OSError, match="Argument list too long"):
        started("echo").result(END_S)
    assert newest()["status"] == "ERROR"
    assert "Argument list too long" in newest()["details"][-1]


def test_after_a_task_that_failed_the_next_one_runs() -> None:
    with pytest.raises(TaskFailedError):
        started("fail").result(END_S)
    started("echo").result(END_S)
    assert [task["status"] for task in tasks_of("train")] == ["ERROR", "DONE"]


def test_output_that_is_no_text_does_not_hang_the_task() -> None:
    started("print").result(END_S)
    assert newest()["status"] == "DONE"
    assert newest()["details"] == ["�� lines"] * 20


def test_while_a_task_runs_another_of_its_kind_is_refused_or_waits(tmp_path: Path) -> None:
    first = started("wait", until=str(tmp_path / "go"))
    with pytest.raises(TaskRunsError) as caught:
        started("echo")
    assert caught.value.status == 429
    _, second = start_task("train", {"do": "echo"}, enqueue=True)
    assert len(tasks_of("train", running=True)) == 2
    (tmp_path / "go").touch()
    first.result(END_S)
    second.result(END_S)
    assert tasks_of("train", running=True) == []


def test_a_task_that_is_stopped_is_cancelled_and_its_process_ends(tmp_path: Path) -> None:
    result = started("wait", until=str(tmp_path / "never"))
    wait_until(lambda: background_processes["train"])
    ((_, process),) = background_processes["train"].items()
    stopped = stop_task("train")
    assert stopped is not None
    assert stopped["status"] == "STOPPED"
    with pytest.raises(CancelledError):
        result.result(END_S)
    assert newest()["status"] == "STOPPED"
    assert not psutil.pid_exists(process.pid)


def test_a_task_that_is_stopped_before_it_begins_never_begins(tmp_path: Path) -> None:
    first = started("wait", until=str(tmp_path / "go"))
    _, second = start_task("train", {"do": "echo"}, enqueue=True)
    wait_until(lambda: background_processes["train"])
    assert [stop_task("train") is not None for _ in range(3)] == [True, True, False]
    for result in (first, second):
        with pytest.raises(CancelledError):
            result.result(END_S)
    assert [task["status"] for task in tasks_of("train")] == ["STOPPED", "STOPPED"]


def test_without_a_task_there_is_nothing_to_stop() -> None:
    assert stop_task("scoring") is None
