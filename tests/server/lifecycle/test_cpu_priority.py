"""CPU priority of trainings and of the server; each call runs in a process of its own."""

import os
import subprocess
import sys

from zeus_app.server.lifecycle.cpu_priority import lower_priority_of


def niceness(*calls: str) -> tuple[int, int]:
    """Niceness of a process before and after these calls."""
    lines = [
        "import os",
        "from zeus_app.server.lifecycle import cpu_priority",
        "before = os.nice(0)",
        *(f"cpu_priority.{call}()" for call in calls),
        "print(before, os.nice(0))",
    ]
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    before, after = ended.stdout.split()
    return int(before), int(after)


def test_a_training_runs_at_a_lower_priority() -> None:
    before, after = niceness("lower_priority")
    assert after == min(19, before + 10)


def test_the_server_keeps_its_priority() -> None:
    before, after = niceness("keep_priority", "lower_priority")
    assert after == before


def test_a_process_that_was_started_runs_at_a_lower_priority() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    before = os.getpriority(os.PRIO_PROCESS, process.pid)
    lower_priority_of(process.pid)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(19, before + 10)
    process.communicate()
