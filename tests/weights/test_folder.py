"""The weights folder: finding weights and checking their hashes."""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.weights.tiny import PARAMETERS, TOKENIZER, Index, of_unknown_hash, put, sha256
from zeus_app.errors import InputError, UnknownNameError
from zeus_app.weights import (
    WEIGHTS,
    State,
    get,
    locate,
    records,
    state_of,
    verify,
    weights_folder,
)

pytestmark = pytest.mark.usefixtures("tiny_weight")


def test_the_environment_variable_names_the_weights_folder(tmp_path: Path) -> None:
    assert weights_folder() == tmp_path / "weights"


def test_by_default_weights_are_in_the_python_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZEUS_WEIGHTS")
    assert weights_folder() == Path(sys.prefix) / "share" / "zeus" / "weights"


def test_locate_finds_the_files_of_get(index: Index) -> None:
    assert get("tiny") == locate("tiny")


def test_a_missing_weight_is_named_with_its_source_size_licence_and_the_remedy() -> None:
    with pytest.raises(InputError) as missing:
        locate("tiny")
    message = str(missing.value)
    for part in ("model.bin is missing", "tiny-weights 1.2.3", "MB", "Apache-2.0"):
        assert part in message
    assert "run `zeus weights get tiny`" in message


def test_a_missing_second_file_is_refused_too() -> None:
    put("model.bin", PARAMETERS)
    with pytest.raises(InputError, match=r"tokenizer\.json is missing"):
        locate("tiny")


def test_a_corrupted_weight_is_refused_with_both_hashes(index: Index) -> None:
    get("tiny")
    put("model.bin", PARAMETERS[:-1] + b"X")
    with pytest.raises(InputError) as refused:
        locate("tiny")
    message = str(refused.value)
    assert "model.bin has SHA-256 " + sha256(PARAMETERS[:-1] + b"X") in message
    assert sha256(PARAMETERS) in message


def test_an_unknown_weight_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="lite-medsam, llama-2-7b-chat"):
        locate("vicunia")


def test_verify_hashes_a_big_file_in_full(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "ALWAYS_HASHED_BYTES", 100)
    model = get("tiny")
    rot_without_a_trace(model)
    with pytest.raises(InputError, match="has SHA-256"):
        verify("tiny")


def rot_without_a_trace(path: Path) -> None:
    """Change a byte. Size and modification time stay the same."""
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_big_file_is_identified_by_size_and_time_without_reading(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "ALWAYS_HASHED_BYTES", 100)
    get("tiny")

    def read(path: Path) -> str:
        if path.name == "model.bin":
            raise AssertionError("read")
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(records, "sha256_of", read)
    assert locate("tiny").name == "model.bin"


def test_a_big_file_that_was_touched_is_hashed_again(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "ALWAYS_HASHED_BYTES", 100)
    model = get("tiny")
    model.write_bytes(PARAMETERS[:-1] + b"X")
    os.utime(model, (1, 1))
    with pytest.raises(InputError, match="has SHA-256"):
        locate("tiny")


def test_a_hash_stated_nowhere_is_recorded_when_the_file_is_first_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(WEIGHTS, "tiny", of_unknown_hash())
    put("model.bin", PARAMETERS)
    put("tokenizer.json", TOKENIZER)
    assert state_of("tiny") == State.UNHASHED
    locate("tiny")
    assert state_of("tiny") == State.RECORDED
    assert sha256(PARAMETERS) in (weights_folder() / "tiny" / "hashes.json").read_text()


def test_a_recorded_hash_is_compared_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WEIGHTS, "tiny", of_unknown_hash())
    model = put("model.bin", PARAMETERS)
    put("tokenizer.json", TOKENIZER)
    locate("tiny")
    rot_without_a_trace(model)
    with pytest.raises(InputError, match=r"recorded when it was first seen(.|\n)*hashes\.json"):
        locate("tiny")


def test_weights_in_a_read_only_folder_are_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(WEIGHTS, "tiny", of_unknown_hash())
    put("model.bin", PARAMETERS)
    put("tokenizer.json", TOKENIZER)

    def refuse(*args: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(records, "write_text_atomically", refuse)
    assert locate("tiny").name == "model.bin"
    assert "not recorded" in caplog.text


def test_a_record_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WEIGHTS, "tiny", of_unknown_hash())
    put("model.bin", PARAMETERS)
    put("hashes.json", b"[")
    with pytest.raises(InputError, match=r"hashes\.json cannot be read"):
        locate("tiny")


def test_a_file_of_another_size_is_refused_with_both_sizes(index: Index) -> None:
    get("tiny")
    put("model.bin", PARAMETERS[:-10])
    with pytest.raises(InputError, match=r"9,990 bytes(.|\n)*10,000 bytes"):
        locate("tiny")


@pytest.mark.parametrize(
    ("spoil", "state"),
    [
        (lambda path: None, State.WHOLE),
        (lambda path: path.unlink(), State.MISSING),
        (lambda path: path.write_bytes(b"X" * len(PARAMETERS)), State.DAMAGED),
    ],
)
def test_the_state_of_a_weight_is_that_of_its_worst_file(
    index: Index, spoil: Callable[[Path], object], state: State
) -> None:
    spoil(get("tiny"))
    assert state_of("tiny") == state


@pytest.mark.parametrize("path_text", ["my/tower.pth", "./folder", "folder/"])
def test_a_users_own_path_is_used_unchecked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path_text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "tower.pth").write_bytes(b"anything")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert locate(path_text) == Path(path_text)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_absolute_path_needs_no_known_ending(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    assert locate(str(tmp_path / "weights")) == tmp_path / "weights"


@pytest.mark.parametrize("path_text", ["/no/such/model", "model.safetensors", "owner/repository"])
def test_a_path_that_is_not_there_is_refused(path_text: str) -> None:
    with pytest.raises(InputError, match=f"weights {path_text} do not exist"):
        locate(path_text)


def test_a_name_with_a_dot_in_it_is_no_path() -> None:
    with pytest.raises(InputError, match=r"zeus weights get qwen2.5-0.5b-instruct"):
        locate("qwen2.5-0.5b-instruct")
