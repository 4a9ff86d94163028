"""A process that a server started ends when the server is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.waiting import wait_until
from zeus_app.server.lifecycle.server_watch import SERVER, end_with_server

# The server starts its task from a thread that ends at once, as a thread of a pool may.
SERVER_CODE = """
import subprocess, sys, threading
from zeus_app.server.lifecycle.server_watch import announce_server
announce_server()
def start():
    task = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
    print(task.pid, flush=True)
thread = threading.Thread(target=start)
thread.start()
thread.join()
print("started", flush=True)
sys.stdin.read()
"""
# Two processes: the task of the server, and a process that the task has started.
TASK_CODE = """
import subprocess, sys
from zeus_app.server.lifecycle.server_watch import end_with_server
end_with_server()
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, "-c", {code!r}, "inner"])
while True:
    pass
"""


@pytest.fixture
def server() -> Iterator[subprocess.Popen[str]]:
    busy = TASK_CODE.format(code=TASK_CODE)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER_CODE, busy],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield process
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.wait()


def descendants(server: subprocess.Popen[str]) -> list[psutil.Process]:
    return list(psutil.Process(server.pid).children(recursive=True))


def has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_busy_task_and_its_own_child_end_when_the_server_is_killed(
    server: subprocess.Popen[str],
) -> None:
    wait_until(lambda: len(descendants(server)) == 2)
    started = descendants(server)
    os.kill(server.pid, signal.SIGKILL)  # nobody has asked yet how it ended: it is a zombie
    wait_until(lambda: all(has_ended(process) for process in started))


def test_a_task_goes_on_while_its_server_lives_though_the_starting_thread_has_ended(
    server: subprocess.Popen[str],
) -> None:
    assert server.stdout is not None
    server.stdout.readline()
    assert server.stdout.readline() == "started\n"
    wait_until(lambda: len(descendants(server)) == 2)
    assert not any(has_ended(process) for process in descendants(server))


def test_a_process_that_no_server_started_watches_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(SERVER, raising=False)
    end_with_server()


def test_the_server_itself_watches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER, f"{os.getpid()} 0.0")  # a wrong start time would end this process
    end_with_server()
