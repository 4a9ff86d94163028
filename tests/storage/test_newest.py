"""Of files with several names the newest gets one name, and none is lost."""

import os
from pathlib import Path

import pytest

from zeus_app.storage.newest import keep_newest, merge_folders, written
from zeus_app.storage.state import folder_name


def write(path: Path, text: str, seconds: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (seconds, seconds))
    return path


def content(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def test_the_newest_gets_the_name_and_the_others_stay_beside_it(tmp_path: Path) -> None:
    former = [write(tmp_path / f"{name}.json", name, at) for name, at in (("a", 2), ("b", 3))]
    write(tmp_path / "now.json", "now", 1)
    assert keep_newest(former, tmp_path / "now.json", written) == 2
    assert content(tmp_path) == {
        "now.json": "b", "now+former-1.json": "now", "now+former-2.json": "a",
    }  # fmt: skip


def test_a_newer_file_keeps_its_name(tmp_path: Path) -> None:
    former = write(tmp_path / "a.nii.gz", "a", 1)
    write(tmp_path / "now.nii.gz", "now", 2)
    keep_newest([former], tmp_path / "now.nii.gz", written)
    assert content(tmp_path) == {"now.nii.gz": "now", "now+former-1.nii.gz": "a"}


def test_without_a_former_file_nothing_happens(tmp_path: Path) -> None:
    write(tmp_path / "now.json", "now", 1)
    assert keep_newest([tmp_path / "a.json"], tmp_path / "now.json", written) == 0
    assert content(tmp_path) == {"now.json": "now"}


def test_folders_are_merged_by_their_entries(tmp_path: Path) -> None:
    write(tmp_path / "a" / "v1" / "x", "a1", 1)
    write(tmp_path / "a" / "v2" / "x", "a2", 1)
    write(tmp_path / "b" / "v1" / "x", "b1", 2)
    assert merge_folders([tmp_path / "a", tmp_path / "b"], tmp_path / "now", written) == 2
    assert content(tmp_path) == {"now/v1/x": "b1", "now/v1+former-1/x": "a1", "now/v2/x": "a2"}
    assert [path.name for path in tmp_path.iterdir()] == ["now"]


def test_no_study_is_called_like_a_former_file() -> None:
    assert folder_name("EGD-1+former-1") != "EGD-1+former-1"


def test_a_merge_that_was_killed_anywhere_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename
    for kill in range(20):
        state = tmp_path / str(kill)
        write(state / "a" / "v1" / "x", "a1", 1)
        write(state / "b" / "v1" / "x", "b1", 3)
        write(state / "now" / "v1" / "x", "n1", 2)
        left = [None] * kill

        def killed(path: Path, target: Path, left: list[None] = left) -> Path:
            if not left:
                raise KeyboardInterrupt
            left.pop()
            return rename(path, target)

        former = [state / "a", state / "b"]
        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", killed)
            try:
                merge_folders(former, state / "now", written)
            except KeyboardInterrupt:
                pass
            else:
                assert kill == 3  # renames in all
                return
        merge_folders(former, state / "now", written)
        texts = content(state / "now")
        assert texts["v1/x"] == "b1"
        assert sorted(texts.values()) == ["a1", "b1", "n1"]
