"""What frozen towers made, kept on disk by key, up to a size.

Safe under several processes and under a kill: an index in SQLite, large values in files of their
own, and a checksum in every array, so that a file cut short counts as lost, not as a value. What a
running training needs is held: eviction passes over it until that process lets go, or is gone.
"""

import io
import logging
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diskcache
import numpy as np
import numpy.typing as npt
import psutil

from zeus_app.errors import InputError
from zeus_app.types import FloatArray

logger = logging.getLogger(__name__)

_CHECKSUM_BYTES = 4
_FAILURES = (OSError, sqlite3.Error, diskcache.Timeout)
_BUSY_S = 60  # how long a writer waits for another, as in diskcache
_CLOCK_SLACK_S = 5  # how far apart two readings of a process's start may lie
_LEFTOVER_S = 3600  # a value's file is older than its entry by a moment, never by this

# diskcache's "least-recently-used", but for what somebody holds.
_POLICY = "least-recently-used-unless-held"
diskcache.EVICTION_POLICY[_POLICY] = {
    "init": "CREATE INDEX IF NOT EXISTS Cache_access_time ON Cache (access_time)",
    "get": "access_time = {now}",
    "cull": "SELECT {fields} FROM Cache WHERE key NOT IN (SELECT key FROM ZeusHeld)"
    " ORDER BY access_time LIMIT ?",
}
_TABLES_OF_HOLDS = (
    "CREATE TABLE IF NOT EXISTS ZeusHold (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " pid INTEGER, started REAL)",
    "CREATE TABLE IF NOT EXISTS ZeusHeld (key TEXT, hold INTEGER)",
    "CREATE INDEX IF NOT EXISTS ZeusHeld_key ON ZeusHeld (key)",
)


@dataclass(frozen=True)
class Hold:
    """A process that holds entries, and how many different ones."""

    pid: int
    entries: int


@dataclass(frozen=True)
class CacheInfo:
    """How much a cache holds.

    Attributes:
        entries: arrays and texts.
        bytes: on disk, with the index.
        limit_bytes: above which entries are evicted, as the process that opened it last set it.
        holds: of processes that live.
    """

    entries: int
    bytes: int
    limit_bytes: int
    holds: tuple[Hold, ...]


class Cache:
    """Arrays and texts by key, behind `protocols.Store`.

    When the size limit is passed, what was not used for longest goes first. A put that fails (full
    disk, read-only folder) is logged once and is a miss later; it never stops the work.
    """

    def __init__(self, folder: Path, *, size_limit_bytes: int | None = None) -> None:
        """Open the cache, making the folder if need be.

        Args:
            folder: of the cache alone.
            size_limit_bytes: None leaves the limit that it has.

        Raises:
            InputError: the folder cannot be written, or its index is damaged.
        """
        self._folder = folder
        self._warned = False
        limit = {} if size_limit_bytes is None else {"size_limit": size_limit_bytes}
        try:
            self._disk: Any = diskcache.Cache(str(folder), eviction_policy=_POLICY, **limit)
            with self._index() as index:
                for statement in _TABLES_OF_HOLDS:
                    index.execute(statement)
        except _FAILURES as error:
            raise InputError(
                f"the cache folder {folder} cannot be used: {error}",
                expected="a writable folder, empty or with a whole cache",
                remedy="make it writable, or remove the folder: what it holds can be made again",
            ) from error
        self._try(self._drop_dead_holds, otherwise=None)
        self._try(self._remove_leftovers, otherwise=None)

    def __contains__(self, key: str) -> bool:
        """Whether something is kept under this key; it may still turn out to be damaged."""
        return bool(self._try(lambda: key in self._disk, otherwise=False))

    def get(self, key: str) -> FloatArray | None:
        """The array kept under this key, with its dtype; None when absent or damaged."""
        value = self._try(lambda: self._disk.get(key), otherwise=None)
        if value is None:
            return None
        array = _unpack(value)
        if array is None:
            logger.warning("cache: %s was damaged and counts as lost", key)
            self._try(lambda: self._disk.delete(key), otherwise=False)
        return array  # type: ignore[return-value]  # float16 for image embeddings

    def put(self, key: str, value: npt.NDArray[np.generic]) -> None:
        """Keep an array of any shape and number type, in place of what the key held."""
        self._put(key, _pack(value))

    def get_text(self, key: str) -> str | None:
        """The text kept under this key; None when absent."""
        value = self._try(lambda: self._disk.get(key), otherwise=None)
        return value if isinstance(value, str) else None

    def put_text(self, key: str, value: str) -> None:
        """Keep a text, in place of what the key held."""
        self._put(key, value)

    @contextmanager
    def hold(self, keys: Sequence[str]) -> Iterator[None]:
        """Meanwhile no process evicts these keys, there already or yet to come.

        The hold of a process that was killed is dropped when a cache is opened or is full. What is
        held may pass the size limit; everything else is then evicted.
        """
        hold = self._try(lambda: self._add_hold(keys), otherwise=None)
        try:
            yield
        finally:
            if hold is not None:
                self._try(lambda: self._drop_holds([hold]), otherwise=None)

    def info(self) -> CacheInfo:
        """How much it holds, and for whom."""
        self._drop_dead_holds()
        with self._index() as index:
            rows = index.execute(
                "SELECT pid, COUNT(DISTINCT key) FROM ZeusHold"
                " JOIN ZeusHeld ON hold = id GROUP BY pid ORDER BY pid"
            ).fetchall()
        return CacheInfo(
            entries=len(self._disk),
            bytes=int(self._disk.volume()),
            limit_bytes=int(self._disk.size_limit),
            holds=tuple(Hold(*row) for row in rows),
        )

    def clear(self) -> int:
        """Remove every entry, held ones too, while others go on using the cache.

        Returns:
            How many bytes of disk were freed.
        """
        before = int(self._disk.volume())
        self._disk.clear(retry=True)
        return before - int(self._disk.volume())

    def close(self) -> None:
        """Close the index; the next call opens it again."""
        self._disk.close()

    def _put(self, key: str, value: bytes | str) -> None:
        def put() -> None:
            if self._disk.volume() + len(value) >= self._disk.size_limit:
                self._drop_dead_holds()  # now, for setting evicts
            self._disk.set(key, value)

        self._try(put, otherwise=None)

    @contextmanager
    def _index(self) -> Iterator[sqlite3.Connection]:
        """A transaction on diskcache's index, where the tables of holds lie beside its own."""
        place = (self._folder / diskcache.core.DBNAME).resolve().as_uri()
        connection = sqlite3.connect(f"{place}?mode=rw", uri=True, timeout=_BUSY_S)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def _add_hold(self, keys: Sequence[str]) -> int:
        me = psutil.Process()
        with self._index() as index:
            added = index.execute(
                "INSERT INTO ZeusHold (pid, started) VALUES (?, ?)", (me.pid, me.create_time())
            )
            hold = int(added.lastrowid or 0)
            index.executemany("INSERT INTO ZeusHeld VALUES (?, ?)", ((key, hold) for key in keys))
        return hold

    def _drop_holds(self, holds: Sequence[int]) -> None:
        with self._index() as index:
            for hold in holds:
                index.execute("DELETE FROM ZeusHeld WHERE hold = ?", (hold,))
                index.execute("DELETE FROM ZeusHold WHERE id = ?", (hold,))

    def _drop_dead_holds(self) -> None:
        with self._index() as index:
            known = index.execute("SELECT id, pid, started FROM ZeusHold").fetchall()
        dead = [hold for hold, pid, started in known if not _lives(pid, started)]
        if dead:
            self._drop_holds(dead)

    def _remove_leftovers(self) -> None:
        """Remove files that no entry names: a kill or a full disk between the two leaves them."""
        with self._index() as index:
            rows = index.execute("SELECT filename FROM Cache WHERE filename IS NOT NULL")
            named = {self._folder / name for (name,) in rows}
        for path in self._folder.glob("*/*/*.val"):
            with suppress(FileNotFoundError):  # another process evicted it, or sweeps as well
                if path not in named and time.time() - path.stat().st_mtime > _LEFTOVER_S:
                    path.unlink()

    def _try(self, act: Callable[[], Any], *, otherwise: Any) -> Any:
        try:
            return act()
        except _FAILURES as error:
            if not self._warned:
                logger.warning("cache %s fails (%s); going on without it", self._folder, error)
                self._warned = True
            return otherwise


def _lives(pid: int, started: float) -> bool:
    """Whether the process that started then still runs; its number may be another's by now."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < _CLOCK_SLACK_S
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _pack(array: npt.NDArray[np.generic]) -> bytes:
    """A CRC-32, then NumPy's own format: dtype, shape, raw numbers."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    body = buffer.getvalue()
    return zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "big") + body


def _unpack(value: object) -> npt.NDArray[np.generic] | None:
    if not isinstance(value, bytes):
        return None
    checksum, body = value[:_CHECKSUM_BYTES], value[_CHECKSUM_BYTES:]
    if zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "big") != checksum:
        return None
    array: npt.NDArray[np.generic] = np.load(io.BytesIO(body), allow_pickle=False)
    return array
