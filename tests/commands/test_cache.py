"""`zeus cache info` and `zeus cache clear`."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from zeus_app.commands.main import app
from zeus_app.settings.config import default_state_folder
from zeus_app.storage.cache import Cache
from zeus_app.types import GIB


def zeus_cache(*arguments: object) -> tuple[int, str]:
    """Exit code and output of `zeus cache` with these arguments."""
    wide = {"COLUMNS": "300"}
    result = CliRunner().invoke(app, ["cache", *map(str, arguments)], env=wide)
    return result.exit_code, result.output


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    """The cache of the state folder tmp_path: one embedding of 2 MiB, at most 5 GiB."""
    cache = Cache(tmp_path / "cache", size_limit_bytes=5 * GIB)
    cache.put("key", np.zeros((256, 64, 64), np.float16))
    yield cache
    cache.close()


@pytest.mark.usefixtures("cache")
def test_info_shows_folder_entries_size_and_limit(tmp_path: Path) -> None:
    code, output = zeus_cache("info", "--state", tmp_path)
    assert code == 0
    assert f"{tmp_path / 'cache'}: 1 entries" in output
    assert "0.002 GiB of at most 5 GiB" in output


def test_info_shows_which_process_pins_how_many_entries(cache: Cache, tmp_path: Path) -> None:
    with cache.pin(["key", "another"]):
        _, output = zeus_cache("info", "--state", tmp_path)
        assert f"process {os.getpid()} pins 2 entries" in output


@pytest.mark.parametrize("command", ["info", "clear"])
def test_a_missing_cache_is_not_created(tmp_path: Path, command: str) -> None:
    assert zeus_cache(command, "--state", tmp_path) == (0, f"{tmp_path / 'cache'}: no cache here\n")
    assert list(tmp_path.iterdir()) == []


def test_the_cache_of_a_studies_folder_is_the_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    folder = default_state_folder(Path("studies")) / "cache"
    Cache(folder).close()
    assert f"{folder}: 0 entries" in zeus_cache("info", "studies")[1]


def test_without_a_folder_the_message_says_what_to_give() -> None:
    code, output = zeus_cache("info")
    assert code == 2
    assert "--state DIR" in output


def test_clearing_says_how_much_it_freed_and_keeps_labels(cache: Cache, tmp_path: Path) -> None:
    label = tmp_path / "phantom" / "labels" / "a"
    label.parent.mkdir(parents=True)
    label.write_text("")
    code, output = zeus_cache("clear", "--state", tmp_path)
    assert code == 0
    assert "0.002 GiB freed" in output
    assert "key" not in cache
    assert label.exists()


def test_clearing_during_a_training_is_refused_unless_forced(cache: Cache, tmp_path: Path) -> None:
    with cache.pin(["key"]):
        code, output = zeus_cache("clear", "--state", tmp_path)
        assert code == 2
        assert "--force" in output
        assert "key" in cache
        assert zeus_cache("clear", "--state", tmp_path, "--force")[0] == 0
        assert "key" not in cache
