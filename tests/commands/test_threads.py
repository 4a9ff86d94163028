"""PyTorch's threads sleep while they wait for each other."""

import subprocess
import sys

import pytest

CODE = (
    "import os, sys\nfrom zeus_app.commands.threads import wait_passively\n{before}\n"
    "wait_passively(); print(os.environ.get('OMP_WAIT_POLICY'))"
)


def policy(before: str, **environment: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", CODE.format(before=before)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ended.stdout.strip()


def test_threads_sleep_unless_the_user_chose_otherwise() -> None:
    assert policy("") == "PASSIVE"
    assert policy("", OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"


def test_nothing_is_set_where_it_would_come_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    assert policy("sys.modules['torch'] = None") == "None"
