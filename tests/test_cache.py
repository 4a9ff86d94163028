import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import diskcache
import numpy as np
import pytest

from zeus_app.cache import Cache
from zeus_app.errors import InputError

MEBIBYTE = 1 << 20


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", size_limit_bytes=100 * MEBIBYTE)


def embedding(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(256, 64, 64)).astype(np.float16)  # 2 MiB


def value_files(cache_folder: Path) -> list[Path]:
    return sorted(cache_folder.rglob("*.val"))


@pytest.mark.parametrize(
    "array",
    [embedding(), np.arange(384, dtype=np.float32), np.zeros((0, 3), np.float32)],
    ids=["image embedding", "text embedding", "empty"],
)
def test_an_array_comes_back_bit_for_bit(cache: Cache, array: np.ndarray) -> None:
    cache.put("key", array)
    back = cache.get("key")
    assert back is not None
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_a_text_comes_back(cache: Cache) -> None:
    cache.put_text("key", "Œdème à l'IRM — 浮腫")
    assert cache.get_text("key") == "Œdème à l'IRM — 浮腫"


def test_an_unknown_key_is_a_miss(cache: Cache) -> None:
    assert "key" not in cache
    assert cache.get("key") is None
    assert cache.get_text("key") is None


def test_a_kept_key_is_in_the_cache(cache: Cache) -> None:
    cache.put("key", embedding())
    assert "key" in cache


def test_another_process_reads_what_this_one_wrote(cache: Cache, tmp_path: Path) -> None:
    cache.put("key", np.full((2, 3), 7, np.float16))
    read = (
        "import sys; from pathlib import Path; from zeus_app.cache import Cache;"
        "print(Cache(Path(sys.argv[1]), size_limit_bytes=1 << 20).get('key').tolist())"
    )
    command = [sys.executable, "-c", read, str(tmp_path / "cache")]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[[7.0, 7.0, 7.0], [7.0, 7.0, 7.0]]"


def test_what_a_killed_process_had_put_is_still_there(tmp_path: Path) -> None:
    write = (
        "import os, sys; from pathlib import Path; import numpy as np;"
        "from zeus_app.cache import Cache;"
        "cache = Cache(Path(sys.argv[1]), size_limit_bytes=1 << 24);"
        "cache.put('key', np.ones((256, 64, 64), np.float16)); os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", write, str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == -9
    back = Cache(tmp_path, size_limit_bytes=1 << 24).get("key")
    assert back is not None
    assert float(back.sum(dtype=np.float64)) == 256 * 64 * 64


@pytest.mark.parametrize("damage", ["cut short", "empty", "one byte wrong", "gone"])
def test_a_damaged_value_is_a_miss_and_can_be_replaced(
    cache: Cache, tmp_path: Path, damage: str
) -> None:
    cache.put("key", embedding(1))
    (file,) = value_files(tmp_path)
    raw = bytearray(file.read_bytes())
    raw[MEBIBYTE] ^= 1
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes({"cut short": raw[:MEBIBYTE], "empty": b"", "one byte wrong": raw}[damage])
    assert cache.get("key") is None
    cache.put("key", embedding(2))
    np.testing.assert_array_equal(cache.get("key"), embedding(2))


def test_a_damaged_value_is_no_longer_in_the_cache(cache: Cache, tmp_path: Path) -> None:
    cache.put("key", embedding())
    (file,) = value_files(tmp_path)
    file.write_bytes(b"short")
    cache.get("key")
    assert "key" not in cache


def test_it_stays_within_its_size_and_keeps_what_was_used_last(tmp_path: Path) -> None:
    cache = Cache(tmp_path, size_limit_bytes=40 * MEBIBYTE)
    for number in range(30):
        cache.put(str(number), embedding(number))
        cache.get("0")
    assert cache.info().bytes <= 43 * MEBIBYTE  # the value that crossed the limit, and the index
    assert "0" in cache
    assert "1" not in cache


def test_info_counts_entries_and_bytes(cache: Cache) -> None:
    cache.put("one", embedding())
    cache.put_text("two", "text")
    info = cache.info()
    assert info.entries == 2
    assert 2 * MEBIBYTE < info.bytes < 3 * MEBIBYTE


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), diskcache.Timeout()], ids=["full", "busy"]
)
def test_a_put_that_fails_is_logged_once_and_is_a_miss(
    cache: Cache,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise failure

    monkeypatch.setattr(diskcache.Cache, "set", fail)
    with caplog.at_level(logging.WARNING):
        cache.put("one", embedding())
        cache.put("two", embedding())
    assert cache.get("one") is None
    assert len(caplog.records) == 1


def test_a_folder_that_cannot_hold_a_cache_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=r"file/cache cannot be used"):
        Cache(tmp_path / "file" / "cache", size_limit_bytes=MEBIBYTE)


def test_a_damaged_index_is_refused_with_the_remedy(cache: Cache, tmp_path: Path) -> None:
    cache.close()
    (tmp_path / "cache" / "cache.db").write_bytes(b"no database" * 1000)
    with pytest.raises(InputError, match="remove the folder"):
        Cache(tmp_path / "cache", size_limit_bytes=MEBIBYTE)
