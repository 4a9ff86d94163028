"""Trainings, batch inferences and scorings: each a process of its own, one at a time per kind.

The tasks stand in MONAI Label's own tables, so that its other code sees them. Its starter is not
used: it takes PYTHONPATH and GPUs from the request, shows the request to every user of the machine
as a command line, and leaves a task that cannot start SUBMITTED for ever.
"""

import json
import logging
import signal
import subprocess
import sys
import tempfile
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import psutil
from monailabel.utils.async_tasks.utils import (
    background_executors,
    background_processes,
    background_tasks,
)

from zeus_app.errors import CancelledError, InputError
from zeus_app.server.lifecycle.server_command import server_environment

WORKER = "zeus_app.server.jobs.task_worker"
REQUEST, OUTCOME = "request.json", "outcome.json"
"""Files in a task's folder: what the worker reads and what it writes."""
SHOWN_LINES = 20
"""Newest lines of a process's output that clients see, as in MONAI Label."""

_UNFINISHED = ("SUBMITTED", "RUNNING")

Kind = Literal["train", "batch_infer", "scoring"]
Task = dict[str, Any]
logger = logging.getLogger(__name__)


class TaskRunsError(InputError):
    """Another task of this kind runs. The server answers with status 429, as MONAI Label does."""

    status = 429


class TaskFailedError(Exception):
    """The process of a task could not be started, or it ended without a result."""


def start_task(
    kind: Kind, request: dict[str, Any], *, enqueue: bool = False
) -> tuple[Task, "Future[Any]"]:
    """Start the process of a task, or let the task wait for its predecessor.

    Args:
        kind: the method of the app that the process calls.
        request: known parameters alone; see `tasks/parameters.py`.
        enqueue: whether the task waits if another one of its kind runs.

    Returns:
        The task as clients see it, and its result. The result raises InputError if the task refused
        its request, CancelledError if the task was stopped, and TaskFailedError.

    Raises:
        TaskRunsError: another one runs, and `enqueue` is not set.
    """
    if tasks_of(kind, running=True) and not enqueue:
        raise TaskRunsError(
            f"a task of kind {kind} while another one runs",
            expected="one at a time",
            remedy="wait for its end, or stop it with DELETE at the same address",
        )
    task: Task = {"id": str(uuid.uuid4()), "status": "SUBMITTED", "request": request,
                  "start_ts": _now(), "details": []}  # fmt: skip
    background_tasks.setdefault(kind, []).append(task)
    background_processes.setdefault(kind, {})
    executor = background_executors.setdefault(kind, ThreadPoolExecutor(max_workers=1))
    return dict(task), executor.submit(_run, kind, task)


def tasks_of(kind: Kind, *, running: bool = False) -> list[Task]:
    """The tasks of a kind since the server's start, the oldest first.

    Args:
        kind: the kind.
        running: whether to list those that run or wait alone.
    """
    tasks = [dict(task) for task in background_tasks.get(kind, [])]
    return [task for task in tasks if not running or task["status"] in _UNFINISHED]


def stop_task(kind: Kind) -> Task | None:
    """Stop the task of a kind that runs or is about to; returns None if there is none."""
    for task in background_tasks.get(kind, []):
        if task["status"] in _UNFINISHED:
            task["status"] = "STOPPED"
            process = background_processes.get(kind, {}).get(task["id"])
            if process is not None:
                _kill(process.pid)
            return dict(task)
    return None


def _kill(pid: int) -> None:
    """Kill a process and its children; one that has just ended is no error."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for member in (*parent.children(recursive=True), parent):
            with suppress(psutil.NoSuchProcess):
                member.kill()


def _run(kind: Kind, task: Task) -> Any:
    """Run a task to its end. Whatever happens, its status tells."""
    try:
        with tempfile.TemporaryDirectory(prefix="zeus-task-") as folder:
            result = _run_process(kind, task, Path(folder))
    except Exception as error:
        if task["status"] == "STOPPED":
            raise CancelledError(f"the task of kind {kind} was stopped") from error
        task["status"] = "ERROR"
        _show(task, f"Zeus: {error}")
        logger.warning("task %s of kind %s: %s", task["id"], kind, error)
        raise
    else:
        task["status"] = "DONE"
        return result
    finally:
        task["end_ts"] = _now()
        background_processes[kind].pop(task["id"], None)


def _run_process(kind: Kind, task: Task, folder: Path) -> Any:
    if task["status"] == "STOPPED":  # before it began
        raise CancelledError(f"the task of kind {kind} was stopped")
    # A file, because a command line is short and visible to other users of the machine.
    (folder / REQUEST).write_text(json.dumps({"kind": kind, "request": task["request"]}))
    process = subprocess.Popen(
        [sys.executable, "-m", WORKER, str(folder)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8", errors="replace", env=server_environment(),
    )  # fmt: skip
    background_processes[kind][task["id"]] = process
    if task["status"] == "STOPPED":  # while the process was starting
        _kill(process.pid)
    else:
        task["status"] = "RUNNING"
    output = logging.getLogger(f"task_{kind}")
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if text := line.rstrip():
                output.info(text)
                _show(task, text)
    return _result(task, process.returncode, folder / OUTCOME)


def _result(task: Task, code: int, outcome: Path) -> Any:
    """The result that the worker wrote. Raises InputError or TaskFailedError."""
    written = json.loads(outcome.read_text(encoding="utf-8")) if outcome.exists() else {}
    if "refused" in written:
        refusal = InputError(**written["refused"])
        refusal.status = written["status"]
        raise refusal
    if code != 0 or "result" not in written:
        ending = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        last = task["details"][-1] if task["details"] else "it wrote nothing"
        raise TaskFailedError(f"the process of the task ended with {ending}; {last}")
    return written["result"]


def _show(task: Task, line: str) -> None:
    task["details"] = [*task["details"], line][-SHOWN_LINES:]  # a new list: requests read the old


def _now() -> str:
    return datetime.today().strftime("%Y-%m-%d %H:%M:%S")
