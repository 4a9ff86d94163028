import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from zeus_app.commands import main as cli
from zeus_app.settings.config import default_state_folder
from zeus_app.storage.cache import Cache

GIB = 1 << 30


def zeus_cache(*arguments: object) -> tuple[int, str]:
    wide = {"COLUMNS": "300"}
    said = CliRunner().invoke(cli.app, ["cache", *map(str, arguments)], env=wide)
    return said.exit_code, said.output


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    """Of the state folder tmp_path: one embedding of 2 MiB, at most 5 GiB."""
    cache = Cache(tmp_path / "cache", size_limit_bytes=5 * GIB)
    cache.put("key", np.zeros((256, 64, 64), np.float16))
    yield cache
    cache.close()


@pytest.mark.usefixtures("cache")
def test_info_tells_place_entries_size_and_limit(tmp_path: Path) -> None:
    code, said = zeus_cache("info", "--state", tmp_path)
    assert code == 0
    assert f"{tmp_path / 'cache'}: 1 entries" in said
    assert "0.002 GiB of at most 5 GiB" in said


def test_info_tells_who_holds_how_much(cache: Cache, tmp_path: Path) -> None:
    with cache.pin(["key", "another"]):
        assert (
            f"process {os.getpid()} holds 2 entries" in zeus_cache("info", "--state", tmp_path)[1]
        )


@pytest.mark.parametrize("command", ["info", "clear"])
def test_where_no_cache_is_none_is_made(tmp_path: Path, command: str) -> None:
    assert zeus_cache(command, "--state", tmp_path) == (0, f"{tmp_path / 'cache'}: nothing there\n")
    assert list(tmp_path.iterdir()) == []


def test_the_cache_of_a_studies_folder_is_the_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    place = default_state_folder(Path("studies")) / "cache"
    Cache(place).close()
    assert f"{place}: 0 entries" in zeus_cache("info", "studies")[1]


def test_without_any_folder_it_says_what_to_give() -> None:
    code, said = zeus_cache("info")
    assert code == 2
    assert "--state DIR" in said


def test_clearing_says_what_it_freed_and_leaves_labels_alone(cache: Cache, tmp_path: Path) -> None:
    label = tmp_path / "phantom" / "labels" / "a"
    label.parent.mkdir(parents=True)
    label.write_text("")
    code, said = zeus_cache("clear", "--state", tmp_path)
    assert (code, "0.002 GiB freed" in said) == (0, True)
    assert "key" not in cache
    assert label.exists()


def test_clearing_under_a_training_is_refused_unless_forced(cache: Cache, tmp_path: Path) -> None:
    with cache.pin(["key"]):
        code, said = zeus_cache("clear", "--state", tmp_path)
        assert code == 2
        assert "--force" in said
        assert "key" in cache
        assert zeus_cache("clear", "--state", tmp_path, "--force")[0] == 0
        assert "key" not in cache
