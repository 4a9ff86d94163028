"""Artifacts: made once, made again when damaged, and never half-made."""

import hashlib
import os
from pathlib import Path

import pytest

from zeus_app.storage.artifacts import make_artifact, sha256_of


class Maker:
    """Writes two files and counts its calls."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, folder: Path) -> None:
        self.times += 1
        (folder / "one").write_text("1")
        (folder / "two").write_text("2")


@pytest.fixture
def maker() -> Maker:
    return Maker()


def test_the_hash_of_a_file_is_hashlibs(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()


def test_an_artifact_is_made_once(tmp_path: Path, maker: Maker) -> None:
    make_artifact(tmp_path / "made", maker)
    folder = make_artifact(tmp_path / "made", maker)
    assert maker.times == 1
    assert (folder / "two").read_text() == "2"


@pytest.mark.parametrize("victim", ["one", "manifest.json"])
@pytest.mark.parametrize("damage", [b"", b"other", None], ids=["empty", "changed", "gone"])
def test_an_artifact_is_made_again_when_a_file_is_damaged(
    tmp_path: Path, maker: Maker, victim: str, damage: bytes | None
) -> None:
    folder = make_artifact(tmp_path / "made", maker)
    if damage is None:
        (folder / victim).unlink()
    else:
        (folder / victim).write_bytes(damage)
    make_artifact(tmp_path / "made", maker)
    assert maker.times == 2
    assert (folder / "one").read_text() == "1"


def test_a_failed_attempt_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        make_artifact(tmp_path / "made", fail)
    assert list(tmp_path.iterdir()) == []


def test_another_process_that_was_quicker_wins(tmp_path: Path, maker: Maker) -> None:
    def slow(folder: Path) -> None:
        make_artifact(tmp_path / "made", maker)
        (folder / "mine").write_text("mine")

    folder = make_artifact(tmp_path / "made", slow)
    assert {path.name for path in folder.iterdir()} == {"one", "two", "manifest.json"}


def test_leftovers_of_killed_processes_go_after_a_day(tmp_path: Path, maker: Maker) -> None:
    old, fresh = tmp_path / ".partial-old", tmp_path / ".partial-fresh"
    old.mkdir()
    fresh.mkdir()
    os.utime(old, (0, 0))
    make_artifact(tmp_path / "made", maker)
    assert not old.exists()
    assert fresh.exists()
