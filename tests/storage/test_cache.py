"""The cache on disk: values, limits, several processes, kills and full disks."""

import logging
import os
import resource
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import diskcache
import numpy as np
import pytest

from tests.storage.cache_entries import SPAWN, Array, assert_holds, embedding, numbered
from zeus_app.errors import InputError
from zeus_app.storage.cache import Cache
from zeus_app.types import MIB


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", size_limit_bytes=100 * MIB)


def value_files(cache_folder: Path) -> list[Path]:
    return sorted(cache_folder.rglob("*.val"))


@pytest.mark.parametrize(
    "array",
    [embedding(), np.arange(384, dtype=np.float32), np.zeros((0, 3), np.float32)],
    ids=["image embedding", "text embedding", "empty"],
)
def test_an_array_comes_back_bit_for_bit(cache: Cache, array: Array) -> None:
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


def test_a_saved_key_is_in_the_cache(cache: Cache) -> None:
    cache.put("key", embedding())
    assert "key" in cache


def test_another_process_reads_what_this_one_wrote(cache: Cache, tmp_path: Path) -> None:
    cache.put("key", np.full((2, 3), 7, np.float16))
    read = (
        "import sys; from pathlib import Path; from zeus_app.storage.cache import Cache;"
        "print(Cache(Path(sys.argv[1]), size_limit_bytes=1 << 20).get('key').tolist())"
    )
    command = [sys.executable, "-c", read, str(tmp_path / "cache")]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[[7.0, 7.0, 7.0], [7.0, 7.0, 7.0]]"


def test_what_a_killed_process_saved_is_still_there(tmp_path: Path) -> None:
    write = (
        "import os, sys; from pathlib import Path; import numpy as np;"
        "from zeus_app.storage.cache import Cache;"
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
    raw[MIB] ^= 1
    damaged = {"cut short": bytes(raw[:MIB]), "empty": b"", "one byte wrong": bytes(raw)}
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(damaged[damage])
    assert cache.get("key") is None
    cache.put("key", embedding(2))
    assert_holds(cache, "key", embedding(2))


def test_a_damaged_value_is_no_longer_in_the_cache(cache: Cache, tmp_path: Path) -> None:
    cache.put("key", embedding())
    (file,) = value_files(tmp_path)
    file.write_bytes(b"short")
    cache.get("key")
    assert "key" not in cache


def test_the_cache_stays_within_its_size_and_keeps_the_last_used_entry(tmp_path: Path) -> None:
    cache = Cache(tmp_path, size_limit_bytes=40 * MIB)
    for number in range(30):
        cache.put(str(number), embedding(number))
        cache.get("0")
    assert cache.info().bytes <= 43 * MIB  # the value that crossed the limit, and the index
    assert "0" in cache
    assert "1" not in cache


def test_info_counts_entries_and_bytes(cache: Cache) -> None:
    cache.put("one", embedding())
    cache.put_text("two", "text")
    info = cache.info()
    assert info.entries == 2
    assert 2 * MIB < info.bytes < 3 * MIB


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
        Cache(tmp_path / "file" / "cache", size_limit_bytes=MIB)


def test_a_damaged_index_is_refused_with_the_remedy(cache: Cache, tmp_path: Path) -> None:
    cache.close()
    (tmp_path / "cache" / "cache.db").write_bytes(b"no database" * 1000)
    with pytest.raises(InputError, match=r"remove it with `rm -r .*cache`"):
        Cache(tmp_path / "cache", size_limit_bytes=MIB)


# --- several processes, kills, a full disk ---


def is_right(cache: Cache, number: int) -> bool:
    value = cache.get(str(number))
    return value is None or bool((value == number).all() and value.shape == (256, 256))


def put_and_get(folder: Path, seed: int) -> None:
    """Fails unless every value read is what its key says; the cache holds half of them."""
    cache = Cache(folder, size_limit_bytes=4 * MIB)
    for number in np.random.default_rng(seed).integers(64, size=150).tolist():
        cache.put(str(number), numbered(number))
        if not all(is_right(cache, other) for other in range(number, 64, 7)):
            raise SystemExit(1)


def test_two_processes_write_and_read_one_cache(tmp_path: Path) -> None:
    processes = [SPAWN.Process(target=put_and_get, args=(tmp_path, seed)) for seed in (1, 2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    cache = Cache(tmp_path)
    assert all(is_right(cache, number) for number in range(64))
    assert 0 < cache.info().bytes <= 5 * MIB


def put_forever(folder: Path, done: Connection) -> None:
    cache = Cache(folder, size_limit_bytes=4 * MIB)
    while True:
        for number in range(64):
            cache.put(str(number), numbered(number))
            done.send(number)


def test_a_kill_in_the_middle_of_puts_leaves_an_intact_cache(tmp_path: Path) -> None:
    cache = Cache(tmp_path, size_limit_bytes=4 * MIB)
    for puts in (5, 17):
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=put_forever, args=(tmp_path, theirs))
        process.start()
        assert [ours.recv() for _ in range(puts)] == list(range(puts))
        process.kill()  # it puts the next ones
        process.join()
    assert process.exitcode == -signal.SIGKILL
    assert all(is_right(cache, number) for number in range(64))
    cache.put("5", numbered(5))
    assert_holds(cache, "5", numbered(5))


def test_files_that_a_kill_left_without_an_entry_are_removed_after_an_hour(
    cache: Cache, tmp_path: Path
) -> None:
    cache.put("key", embedding())
    (saved,) = value_files(tmp_path)
    old, young = saved.with_name("old.val"), saved.with_name("young.val")
    for path in (old, young):
        path.write_bytes(b"half")
    for path in (old, saved):
        os.utime(path, (time.time() - 3700, time.time() - 3700))
    Cache(tmp_path / "cache")
    assert set(value_files(tmp_path)) == {saved, young}


def put_on_a_full_disk(folder: Path) -> None:
    cache = Cache(folder)
    cache.put("before", numbered(1))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))  # a write stops half-way
    cache.put("during", embedding())
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    cache.put("after", numbered(2))


def test_a_write_that_stops_half_way_is_a_miss_and_the_rest_stays(tmp_path: Path) -> None:
    process = SPAWN.Process(target=put_on_a_full_disk, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 0
    cache = Cache(tmp_path)
    assert cache.get("during") is None
    assert_holds(cache, "before", numbered(1))
    assert_holds(cache, "after", numbered(2))


def test_the_limit_stays_if_a_later_process_gives_none(tmp_path: Path) -> None:
    Cache(tmp_path, size_limit_bytes=3 * MIB).close()
    assert Cache(tmp_path).info().limit_bytes == 3 * MIB


def test_clearing_returns_the_freed_bytes_and_leaves_the_cache_usable(
    cache: Cache, tmp_path: Path
) -> None:
    other = Cache(tmp_path / "cache")
    cache.put("key", embedding())
    assert 2 * MIB <= other.clear() < 3 * MIB
    assert cache.get("key") is None
    cache.put("key", embedding())
    assert "key" in cache
