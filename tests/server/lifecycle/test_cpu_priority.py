"""How far a training steps back behind the server; each in a process of its own."""

import subprocess
import sys


def niceness(*calls: str) -> tuple[int, int]:
    """Of a process before and after these calls."""
    lines = [
        "import os",
        "from zeus_app.server import priority",
        "before = os.nice(0)",
        *(f"priority.{call}()" for call in calls),
        "print(before, os.nice(0))",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    before, after = done.stdout.split()
    return int(before), int(after)


def test_a_training_steps_back() -> None:
    before, after = niceness("lower_priority")
    assert after == min(19, before + 10)


def test_the_server_does_not() -> None:
    before, after = niceness("keep", "lower_priority")
    assert after == before
