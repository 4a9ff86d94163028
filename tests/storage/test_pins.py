"""Pinned cache entries stay until their process ends; what the pins rely on in diskcache."""

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import diskcache
import pytest

from tests.storage.cache_entries import SPAWN, assert_holds, numbered
from zeus_app.storage.cache import Cache
from zeus_app.storage.pins import EVICTION_POLICY
from zeus_app.types import MIB


def flood(cache: Cache, *, entries: int = 64) -> None:
    for number in range(entries):
        cache.put(f"flood {number}", numbered(number))


@pytest.fixture
def small(tmp_path: Path) -> Cache:
    """A cache of 16 entries with the keys 0, 1 and 2 in it."""
    cache = Cache(tmp_path / "small", size_limit_bytes=2 * MIB)
    for number in range(3):
        cache.put(str(number), numbered(number))
    return cache


def test_a_pinned_entry_is_not_evicted(small: Cache) -> None:
    with small.pin(["0", "2"]):
        flood(small)
        assert ["0" in small, "1" in small, "2" in small] == [True, False, True]
    assert small.info().bytes < 3 * MIB


def test_an_entry_is_evicted_once_it_is_no_longer_pinned(small: Cache) -> None:
    with small.pin(["0"]):
        pass
    flood(small)
    assert "0" not in small


def test_an_entry_that_is_pinned_before_it_is_put_stays_even_beyond_the_limit(small: Cache) -> None:
    keys = [f"late {number}" for number in range(32)]
    with small.pin(keys):
        for number, key in enumerate(keys):
            small.put(key, numbered(number))
        flood(small)
        assert all(key in small for key in keys)


def test_a_key_that_is_pinned_twice_stays_until_both_pins_are_removed(small: Cache) -> None:
    with small.pin(["0"]):
        with small.pin(["0"]):
            pass
        flood(small)
        assert "0" in small


def pin_until_killed(folder: Path, ready: Connection) -> None:
    with Cache(folder).pin(["0", "1"]):
        ready.send(os.getpid())
        signal.pause()


@contextmanager
def pinning_process(folder: Path) -> Iterator[BaseProcess]:
    """Another process that pins the keys 0 and 1."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=pin_until_killed, args=(folder, theirs))
    process.start()
    try:
        assert ours.recv() == process.pid
        yield process
    finally:
        process.kill()
        process.join()


def test_the_pins_of_another_process_last_until_it_is_killed(small: Cache, tmp_path: Path) -> None:
    with pinning_process(tmp_path / "small") as process:
        assert [(pins.pid, pins.entries) for pins in small.info().pins] == [(process.pid, 2)]
        flood(small)
        assert ["0" in small, "1" in small, "2" in small] == [True, True, False]
        os.kill(process.pid or 0, signal.SIGKILL)  # nobody has asked yet how it ended
        os.waitid(os.P_PID, process.pid or 0, os.WEXITED | os.WNOWAIT)
        flood(small)
        assert ["0" in small, "1" in small] == [False, False]
        assert small.info().pins == ()


def test_a_pin_does_not_pass_to_a_later_process_of_the_same_id(
    small: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = time.time() - 1e6
    with monkeypatch.context() as patch:
        patch.setattr("psutil.Process.create_time", lambda self: long_ago)
        small.pin(["0"]).__enter__()
    flood(small)
    assert "0" not in small


def test_a_pin_that_fails_does_not_stop_the_training(
    small: Cache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zeus_app.storage.pins.Pins.add", full)
    with small.pin(["0"]):
        small.put("new", numbered(3))
    assert "new" in small
    assert "No space left" in caplog.text


def test_the_tables_of_diskcache_are_those_that_the_pins_rely_on(tmp_path: Path) -> None:
    diskcache.Cache(str(tmp_path)).close()
    with sqlite3.connect(tmp_path / "cache.db") as index:
        schema = dict(index.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    assert schema == {
        "Settings": "CREATE TABLE Settings ( key TEXT NOT NULL UNIQUE, value)",
        "Cache": "CREATE TABLE Cache ( rowid INTEGER PRIMARY KEY, key BLOB, raw INTEGER,"
        " store_time REAL, expire_time REAL, access_time REAL, access_count INTEGER DEFAULT 0,"
        " tag BLOB, size INTEGER DEFAULT 0, mode INTEGER DEFAULT 0, filename TEXT, value BLOB)",
    }


def test_eviction_differs_from_diskcaches_own_by_the_pins_alone() -> None:
    pinned = " WHERE key NOT IN (SELECT key FROM ZeusHeld)"
    policy = diskcache.EVICTION_POLICY[EVICTION_POLICY]
    without_pins = {name: sql.replace(pinned, "") for name, sql in policy.items()}
    assert pinned in policy["cull"]
    assert without_pins == diskcache.EVICTION_POLICY["least-recently-used"]


def test_a_folder_of_an_older_zeus_opens_with_its_entries(tmp_path: Path) -> None:
    """Zeus 0.1 wrote the same tables and the same name of the eviction policy."""
    Cache(tmp_path).put("key", numbered(3))
    with sqlite3.connect(tmp_path / "cache.db") as index:
        (policy,) = index.execute("SELECT value FROM Settings WHERE key = 'eviction_policy'")
        tables = {name for (name,) in index.execute("SELECT name FROM sqlite_master")}
    assert policy == ("least-recently-used-unless-held",)
    assert {"ZeusHold", "ZeusHeld", "ZeusHeld_key"} <= tables
    assert_holds(Cache(tmp_path), "key", numbered(3))
