"""A change of a folder or file is seen by its times, and nothing else is."""

import os
import time
from pathlib import Path

import pytest

from zeus_app.studies import file_times
from zeus_app.studies.file_times import COARSEST_NS, FileTimes, folders_of

S = 1_000_000_000


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seconds by which the clock is ahead of the files; changed by a test."""
    ahead = [3600]
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + ahead[0] * S)
    return ahead


def times(*paths: Path) -> FileTimes:
    return FileTimes(paths, since_ns=time.time_ns())


def test_files_that_nobody_touches_are_unchanged(tmp_path: Path, later: list[int]) -> None:
    (tmp_path / "a").write_text("x")
    before = times(tmp_path, tmp_path / "a")
    (tmp_path / "a").read_text()
    assert not before.changed()


def test_a_new_a_removed_and_a_renamed_entry_change_their_folder(
    tmp_path: Path, later: list[int]
) -> None:
    before = times(tmp_path)
    (tmp_path / "a").mkdir()
    assert before.changed()
    before = times(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert before.changed()
    before = times(tmp_path)
    (tmp_path / "b").rmdir()
    assert before.changed()


def test_a_file_that_grows_is_changed_even_if_it_gets_its_old_time_back(
    tmp_path: Path, later: list[int]
) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    before = times(path)
    status = path.stat()
    path.write_text("y")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as `cp -p` does at its end
    assert before.changed()


def test_a_missing_file_is_changed_when_it_comes(tmp_path: Path, later: list[int]) -> None:
    before = times(tmp_path / "a", tmp_path / "a\0b")
    assert not before.changed()
    (tmp_path / "a").write_text("x")
    assert before.changed()


def test_what_changed_just_before_is_looked_at_once_more_when_it_has_settled(
    tmp_path: Path, later: list[int]
) -> None:
    later[0] = 1  # the second change may leave the time of the first
    before = times(tmp_path)
    assert not before.changed()
    later[0] = 1 + COARSEST_NS // S
    assert before.changed()


def test_what_changed_while_it_was_read_is_looked_at_once_more(
    tmp_path: Path, later: list[int]
) -> None:
    before = FileTimes([tmp_path], since_ns=0)
    assert before.changed()


def test_a_time_in_the_future_is_no_change(tmp_path: Path, later: list[int]) -> None:
    later[0] = -3600  # the clock of the files' server is ahead
    before = times(tmp_path)
    later[0] = -3500
    assert not before.changed()


def test_folders_come_once_from_the_top_down_and_links_are_followed(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "a" / "deep", root / ".hidden", root / "state" / "cache", elsewhere):
        folder.mkdir(parents=True)
    (root / "a" / "file").write_text("x")
    (root / "link").symlink_to(elsewhere)
    (root / "a" / "deep" / "loop").symlink_to(root)
    (root / "broken").symlink_to(root / "nothing")
    found = list(folders_of(root, skip=(root / "state", root / "missing")))
    assert found[0] == str(root)
    assert set(found[1:3]) == {str(root / "a"), str(root / "link")}
    assert found[3:] == [str(root / "a" / "deep")]


def test_the_number_of_folders_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_times, "MOST_FOLDERS", 3)
    for name in "abcde":
        (tmp_path / name).mkdir()
    assert len(list(folders_of(tmp_path))) == 3


def test_a_folder_that_is_missing_has_no_folders(tmp_path: Path) -> None:
    assert list(folders_of(tmp_path / "none")) == []
