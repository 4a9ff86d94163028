"""A file is written completely or not at all; half-written files of killed processes go."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from zeus_app.storage.atomic import (
    new_folder,
    remove_half_written,
    write_atomically,
    write_text_atomically,
)

WRITER = """
import sys
from pathlib import Path
from zeus_app.storage.atomic import write_atomically
def write(path):
    path.write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
write_atomically(Path(sys.argv[1]), write)
"""


def start_writer(path: Path) -> subprocess.Popen[str]:
    """A process that has written half of a file."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def half_written(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".writing-*")]


def test_the_half_written_file_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    writer = start_writer(tmp_path / "labels" / "v0001.nii.gz")
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(half_written(tmp_path)) == 1
    assert remove_half_written(tmp_path) == 1
    assert half_written(tmp_path) == []


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "labels" / "v0001.nii.gz"
    writer = start_writer(path)
    assert remove_half_written(tmp_path) == 0
    writer.communicate()  # lets it write to the end
    assert path.read_text() == "half"


def test_half_written_files_of_older_versions_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".writing-0123456789abcdef.json").write_text("{")
    assert remove_half_written(tmp_path) == 1


def test_a_skipped_folder_and_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / ".writing-1").touch()
    (tmp_path / "v0001.json").touch()
    assert remove_half_written(tmp_path, skip=("cache",)) == 0
    assert half_written(tmp_path) == [".writing-1"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("kept")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / ".writing-1").symlink_to(tmp_path / "outside")
    remove_half_written(tmp_path / "state")
    assert (tmp_path / "outside").read_text() == "kept"


def test_a_sweep_just_before_the_file_is_written_does_no_harm(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        path.unlink()  # as a sweep would, had it come before the lock
        path.write_text("whole")

    write_atomically(tmp_path / "note.json", write)
    assert (tmp_path / "note.json").read_text() == "whole"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    write_text_atomically(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("new")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["note.json"]


def test_a_name_may_be_as_long_as_a_name_may_be(tmp_path: Path) -> None:
    path = tmp_path / ("a." + "b" * 246 + ".nii.gz")  # 255 characters
    write_atomically(path, lambda temporary: temporary.write_text(temporary.name[-7:]))
    assert path.read_text() == ".nii.gz"


def test_a_folder_appears_complete(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a" / "new") as folder:
        (folder / "file").write_text("x")
        assert not (tmp_path / "a" / "new").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["new"]
    assert (tmp_path / "a" / "new" / "file").read_text() == "x"


def stopped(path: Path) -> None:
    with new_folder(path) as folder:
        (folder / "file").write_text("x")
        raise KeyboardInterrupt


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        stopped(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def overtaken(path: Path) -> None:
    with new_folder(path):
        (path / "other").write_text("y")


def test_a_folder_with_content_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with pytest.raises(OSError, match="not empty"):
        overtaken(tmp_path / "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "other"]
