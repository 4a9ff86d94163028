"""Notes on disk: bad ones of older versions break nothing, and none grows without bound."""

import json
import logging
from pathlib import Path

import pytest

from zeus_app.errors import InputError
from zeus_app.storage.notes import MAX_NOTE_BYTES, check_note, read_note, write_note


def test_a_note_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_note(tmp_path / "n.json", {"reader": "anna"})
    assert read_note(tmp_path / "n.json") == {"reader": "anna"}


def test_a_missing_note_is_empty(tmp_path: Path) -> None:
    assert read_note(tmp_path / "n.json") == {}


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "3", "null", "[" * 100_000, '{"a": ' * 100_000, "\x00"]
)
def test_a_damaged_note_is_skipped_and_logged(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "n.json"
    path.write_text(text)
    with caplog.at_level(logging.WARNING):
        assert read_note(path) == {}
    assert f"the note {path} is skipped" in caplog.text


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "1e999", r'"\ud800"', "[" * 30 + "]" * 30])
def test_a_bad_entry_is_skipped_and_the_others_stay(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "n.json"
    path.write_text(f'{{"bad": {bad}, "reader": "anna"}}')
    assert read_note(path) == {"reader": "anna"}


def test_a_note_that_is_a_folder_or_no_utf8_is_skipped(tmp_path: Path) -> None:
    assert read_note(tmp_path) == {}
    (tmp_path / "n.json").write_bytes(b"\xff\xfe")
    assert read_note(tmp_path / "n.json") == {}


def test_a_bad_note_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "n.json").write_text("{")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            read_note(tmp_path / "n.json")
    assert len(caplog.records) == 1


def test_notes_are_bounded_and_the_message_has_the_limit() -> None:
    check_note({"a": "x" * (MAX_NOTE_BYTES - 20)})
    with pytest.raises(InputError, match="at most 131072 bytes"):
        check_note({"a": "x" * MAX_NOTE_BYTES})


def test_entries_of_zeus_itself_do_not_count() -> None:
    check_note({"params": "x" * MAX_NOTE_BYTES}, own_keys=("params",))


def test_a_note_that_is_no_strict_json_is_refused() -> None:
    with pytest.raises(InputError, match="the number nan"):
        check_note({"a": float("nan")})
    assert json.loads('{"a": NaN}')  # Python's own reader takes it
