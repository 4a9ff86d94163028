"""A job as a child process: its progress, its row, and the reason if it ends without one."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from zeus_app.bench.measurement import Request
from zeus_app.bench.row import failed_row
from zeus_app.progress import Report

COMMAND = (sys.executable, "-m", "zeus_app.bench.worker")
_END_TIMEOUT_S = 10
_LAST_CHARACTERS = 300


def run_in_process(
    request: Request, report: Report, *, log: Path, command: Sequence[str] = COMMAND
) -> dict[str, Any]:
    """Run a job in a process of its own, and wait for its end.

    The process gets no Ctrl-C from the terminal. If this process is interrupted, it ends the child
    first.

    Args:
        request: the job.
        report: called with the job's progress.
        log: file for what the job prints to stderr.
        command: the program that reads the request.

    Returns:
        The row: what the job measured; or "failed" with the reason: it was refused, it crashed, or
        it took longer than its limit.
    """
    job, began = request.job, time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as errors, _started(command, errors) as process:
        with _ended_after(process, job.limit_s) as is_late:
            answer = _answer(process, request, report)
        code = process.wait()
    if "row" in answer:
        row: dict[str, Any] = answer["row"]
        return row
    if is_late.is_set():
        reason = f"took longer than {job.limit_s:g} s and was ended"
    else:
        reason = answer.get("reason") or f"{_ending(code)}: {_last_words(log)}"
    return failed_row(job, reason, time.monotonic() - began)


@contextmanager
def _started(command: Sequence[str], errors: Any) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
        encoding="utf-8", start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        _end(process)


def _answer(process: "subprocess.Popen[str]", request: Request, report: Report) -> dict[str, Any]:
    """Send the request, pass progress on, and return the message with the row or the reason."""
    assert process.stdin is not None, "a pipe"
    assert process.stdout is not None, "a pipe"
    try:
        process.stdin.write(request.as_json() + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return {}
    for line in process.stdout:
        message = _message(line)
        if "stage" in message:
            report(message["stage"], message["done"], message["total"])
        elif message:
            return message
    return {}


def _message(line: str) -> dict[str, Any]:
    """A line of the protocol; {} for what a library printed."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    is_ours = isinstance(message, dict) and message.keys() & {"stage", "row", "reason"}
    return message if is_ours else {}


@contextmanager
def _ended_after(process: "subprocess.Popen[str]", limit_s: float) -> Iterator[threading.Event]:
    """Kill the process after the limit. The event then is set."""
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        process.kill()

    timer = threading.Timer(limit_s, end)
    timer.start()
    try:
        yield is_late
    finally:
        timer.cancel()


def _end(process: "subprocess.Popen[str]") -> None:
    """Close the pipes, and end a process that still runs with its children."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
    try:
        process.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # it leads its session
        process.wait()


def _ending(code: int) -> str:
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended with status {code}"


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    written = [line.strip() for line in lines if line.strip()]
    return written[-1][-_LAST_CHARACTERS:] if written else "it said nothing"
