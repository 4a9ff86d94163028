"""Temporary files of a killed server are removed by the next one; those of a live server stay."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zeus_app.server.lifecycle.temporary_files import PREFIX

PROGRAM = """
import sys, tempfile
from zeus_app.server.lifecycle.temporary_files import use_own_temporary_folder
folder = use_own_temporary_folder()
file = tempfile.NamedTemporaryFile(delete=False)
assert tempfile.gettempdir() == str(folder)
print(folder, flush=True)
sys.stdin.read()
"""


class Program:
    """A process with a temporary folder of its own, until its input is closed."""

    def __init__(self, base: Path) -> None:
        environment = {**os.environ, "TMPDIR": str(base)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.folder = Path(self.process.stdout.readline().strip())

    def end(self, how: signal.Signals | None = None) -> None:
        if how:
            self.process.send_signal(how)
        self.process.communicate()


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    yield program
    program.end()


def test_only_the_servers_account_can_read_the_folder(first: Program, tmp_path: Path) -> None:
    assert first.folder.parent == tmp_path
    assert stat.S_IMODE(first.folder.stat().st_mode) == 0o700
    assert len([*first.folder.iterdir()]) == 2  # the lock and the temporary file


def test_the_folder_ends_with_its_server(first: Program) -> None:
    first.end()
    assert not first.folder.exists()


def test_the_next_server_removes_what_a_killed_one_left(first: Program, tmp_path: Path) -> None:
    first.end(signal.SIGKILL)
    assert first.folder.exists()
    second = Program(tmp_path)
    assert [*tmp_path.glob(f"{PREFIX}*")] == [second.folder]
    second.end()


def test_the_files_of_a_live_server_stay(first: Program, tmp_path: Path) -> None:
    second = Program(tmp_path)
    assert first.folder.exists()
    assert second.folder != first.folder
    second.end()


def test_what_belongs_to_others_stays(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}begins").mkdir()
    (tmp_path / "patients").mkdir()
    (tmp_path / "patients" / ".lock").touch()
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "patients")
    Program(tmp_path).end()
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{PREFIX}begins", f"{PREFIX}link", "patients",
    }  # fmt: skip
