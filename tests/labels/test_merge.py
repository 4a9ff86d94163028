"""Label histories of several studies become one, whatever happens on the way."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from zeus_app.labels.merge import complete_merges, merge_histories
from zeus_app.labels.versions import LabelHistory

TAG = "final"


def renew(study: str, info: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**info, "of": info.get("of", study)}


def write(root: Path, study: str, *versions: tuple[str, int]) -> None:
    """Versions with a time each. A version's text is its content; an empty one is a removal."""
    folder = root / TAG / study
    folder.mkdir(parents=True, exist_ok=True)
    for number, (text, seconds) in enumerate(versions, start=1):
        ending = "nii.gz" if text else "removed"
        (folder / f"v{number:04d}.{ending}").write_text(text)
        (folder / f"v{number:04d}.json").write_text(json.dumps({"ts": seconds}))


def merge(root: Path, *former: str) -> int:
    return merge_histories(LabelHistory(root), TAG, former, "now", renew=renew)


def texts(root: Path, study: str = "now") -> list[str]:
    return [one.path.read_text() for one in LabelHistory(root).versions(study, TAG)]


def numbers(root: Path) -> list[int]:
    return [one.number for one in LabelHistory(root).versions("now", TAG)]


def test_versions_are_numbered_anew_in_the_order_of_their_times(tmp_path: Path) -> None:
    write(tmp_path, "a", ("a1", 5), ("a2", 9))
    write(tmp_path, "b", ("b1", 7))
    assert merge(tmp_path, "a", "b") == 3
    assert texts(tmp_path) == ["a1", "b1", "a2"]
    assert numbers(tmp_path) == [1, 2, 3]
    infos = [dict(one.info) for one in LabelHistory(tmp_path).versions("now", TAG)]
    assert infos == [{"ts": 5, "of": "a"}, {"ts": 7, "of": "b"}, {"ts": 9, "of": "a"}]
    assert sorted(path.name for path in (tmp_path / TAG).iterdir()) == ["now"]


def test_versions_that_the_study_has_already_are_among_them(tmp_path: Path) -> None:
    write(tmp_path, "now", ("n1", 4), ("n2", 8))
    write(tmp_path, "a", ("a1", 5), ("a2", 9))
    merge(tmp_path, "a")
    assert texts(tmp_path) == ["n1", "a1", "n2", "a2"]
    assert numbers(tmp_path) == [1, 3, 4, 5]  # the first one stays where it is


def test_a_removal_ends_the_label_of_its_own_study_alone(tmp_path: Path) -> None:
    write(tmp_path, "a", ("a1", 5), ("", 9))
    write(tmp_path, "b", ("b1", 7))
    merge(tmp_path, "a", "b")
    assert texts(tmp_path) == ["a1", "", "b1"]
    newest = LabelHistory(tmp_path).newest("now", TAG)
    assert newest is not None
    assert newest.path.read_text() == "b1"


def test_if_all_labels_were_removed_the_new_one_is_too(tmp_path: Path) -> None:
    write(tmp_path, "a", ("a1", 5), ("", 9))
    write(tmp_path, "b", ("b1", 7), ("", 8))
    merge(tmp_path, "a", "b")
    assert LabelHistory(tmp_path).newest("now", TAG) is None
    assert sorted(texts(tmp_path)) == ["", "", "a1", "b1"]


def test_the_order_of_one_study_stays_when_its_clock_was_set_back(tmp_path: Path) -> None:
    write(tmp_path, "a", ("a1", 100), ("a2", 50))
    write(tmp_path, "b", ("b1", 70))
    merge(tmp_path, "a", "b")
    assert texts(tmp_path) == ["b1", "a1", "a2"]


def test_a_restored_version_names_the_number_that_its_original_has_now(tmp_path: Path) -> None:
    write(tmp_path, "a", ("a1", 5), ("a2", 9))
    write(tmp_path, "b", ("b1", 3))
    path = tmp_path / TAG / "a" / "v0002.json"
    path.write_text(json.dumps({"ts": 9, "restored_from": 1}))
    merge(tmp_path, "a", "b")
    newest = LabelHistory(tmp_path).newest("now", TAG)
    assert newest is not None
    assert newest.info["restored_from"] == 2


def test_other_files_are_kept_and_count_for_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a", ("a1", 5))
    write(tmp_path, "b", ("b1", 7))
    for study in "ab":
        (tmp_path / TAG / study / "v0007.json").write_text("{}")
        (tmp_path / TAG / study / "todo.txt").write_text(study)
    merge(tmp_path, "a", "b")
    assert texts(tmp_path) == ["a1", "b1"]
    kept = {path.name for path in (tmp_path / TAG / "now").glob("former-*")}
    assert kept == {"former-1-todo.txt", "former-2-todo.txt", "former-1-v0007.json",
                    "former-2-v0007.json"}  # fmt: skip


def test_without_former_labels_nothing_happens(tmp_path: Path) -> None:
    write(tmp_path, "now", ("n1", 4))
    assert merge(tmp_path, "a", "b") == 0
    assert texts(tmp_path) == ["n1"]


class _KilledError(BaseException):
    pass


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise instead of the n-th change of a file."""
    steps = iter(range(step))

    def with_a_kill(name: str) -> None:
        change = getattr(Path, name)

        def changed(path: Path, *args: Any, **kwargs: Any) -> Any:
            if name == "open" and "x" not in str(args):
                return change(path, *args, **kwargs)
            if next(steps, None) is None:
                raise _KilledError
            return change(path, *args, **kwargs)

        monkeypatch.setattr(Path, name, changed)

    for name in ("rename", "replace", "unlink", "rmdir", "open", "mkdir"):
        with_a_kill(name)


def kills(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The states that a kill at each step leaves."""
    for step in range(200):
        state = root / str(step)
        write(state, "now", ("n1", 6), ("n2", 8))
        write(state, "a", ("a1", 5), ("", 9))
        write(state, "b", ("b1", 3), ("b2", 10))
        with monkeypatch.context() as patched:
            killed_at(step, patched)
            try:
                merge(state, "a", "b")
            except _KilledError:
                yield state
                continue
        return
    raise AssertionError("the merge never ended")


def test_a_merge_that_was_killed_anywhere_is_completed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = list(kills(tmp_path, monkeypatch))
    assert len(states) > 20
    for state in states:
        complete_merges(state)
        merge(state, "a", "b")
        assert texts(state) == ["a1", "", "b1", "n1", "n2", "b2"], state.name
        left = [path.name for path in (state / TAG).iterdir() if ".writing-" not in path.name]
        assert left == ["now"]
        assert all("ts" in one.info for one in LabelHistory(state).versions("now", TAG))
