"""Cache on disk: embeddings and texts of the frozen towers by key, up to a size limit.

Several processes may use one folder, and any may be killed. The index is diskcache's SQLite file;
large values are files of their own. Every array has a checksum, so a truncated file is a miss.
Entries that a running training needs are pinned: eviction skips them until the process ends.
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

from zeus_app.errors import InputError
from zeus_app.storage.pins import EVICTION_POLICY, Pins, ProcessPins
from zeus_app.types import FloatArray

logger = logging.getLogger(__name__)

_CHECKSUM_BYTES = 4
_FAILURES = (OSError, sqlite3.Error, diskcache.Timeout)
_LEFTOVER_S = 3600  # a value's file is written moments before its entry, never an hour


@dataclass(frozen=True)
class CacheInfo:
    """The size of a cache.

    Attributes:
        entries: number of arrays and texts.
        bytes: on disk, with the index.
        limit_bytes: the size limit that the last process to open the cache has set.
        pins: of running processes.
    """

    entries: int
    bytes: int
    limit_bytes: int
    pins: tuple[ProcessPins, ...]


class Cache:
    """Arrays and texts by key, on disk.

    Above the size limit, the least recently used entries are evicted. A failed write (full disk,
    read-only folder) is logged once and is a miss later; it never stops the work.
    """

    def __init__(self, folder: Path, *, size_limit_bytes: int | None = None) -> None:
        """Open the cache; make the folder if it is missing.

        Args:
            folder: used by the cache alone.
            size_limit_bytes: None leaves the limit as it is.

        Raises:
            InputError: the folder cannot be written, or its index is damaged.
        """
        self._folder = folder
        self._warned = False
        limit = {} if size_limit_bytes is None else {"size_limit": size_limit_bytes}
        try:
            self._disk: Any = diskcache.Cache(str(folder), eviction_policy=EVICTION_POLICY, **limit)
            self._pins = Pins(folder)
        except _FAILURES as error:
            raise InputError(
                f"the cache folder {folder} cannot be used: {error}",
                expected="a writable folder, empty or with an intact cache",
                remedy=f"make it writable, or remove it with `rm -r {folder}`; Zeus computes"
                " every entry again",
            ) from error
        self._try(self._pins.remove_dead, otherwise=None)
        self._try(self._remove_leftovers, otherwise=None)

    def __contains__(self, key: str) -> bool:
        """Whether there is an entry for the key. The entry may still turn out to be damaged."""
        return bool(self._try(lambda: key in self._disk, otherwise=False))

    def get(self, key: str) -> FloatArray | None:
        """The array of the key, with its dtype; None if it is absent or damaged."""
        value = self._try(lambda: self._disk.get(key), otherwise=None)
        if value is None:
            return None
        array = _unpack(value)
        if array is None:
            logger.warning("cache: entry %s is damaged and was removed", key)
            self._try(lambda: self._disk.delete(key), otherwise=False)
        return array  # type: ignore[return-value]  # float16 for image embeddings

    def put(self, key: str, value: npt.NDArray[np.generic]) -> None:
        """Save an array of any shape and dtype; it replaces the key's former entry."""
        self._put(key, _pack(value))

    def get_text(self, key: str) -> str | None:
        """The text of the key; None if it is absent."""
        value = self._try(lambda: self._disk.get(key), otherwise=None)
        return value if isinstance(value, str) else None

    def put_text(self, key: str, value: str) -> None:
        """Save a text; it replaces the key's former entry."""
        self._put(key, value)

    @contextmanager
    def pin(self, keys: Sequence[str]) -> Iterator[None]:
        """Within this context, no process evicts these keys, whether they exist yet or not.

        If the process is killed, its pins are removed when a cache is next opened or full. Pinned
        entries may exceed the size limit; all other entries are then evicted.
        """
        pin = self._try(lambda: self._pins.add(keys), otherwise=None)
        try:
            yield
        finally:
            if pin is not None:
                self._try(lambda: self._pins.remove([pin]), otherwise=None)

    def info(self) -> CacheInfo:
        """The number of entries, the bytes, the limit, and the pins of running processes."""
        return CacheInfo(
            entries=len(self._disk),
            bytes=int(self._disk.volume()),
            limit_bytes=int(self._disk.size_limit),
            pins=self._pins.by_process(),
        )

    def clear(self) -> int:
        """Remove every entry, pinned ones too. Other processes may go on using the cache.

        Returns:
            Freed bytes of disk.
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
                self._pins.remove_dead()  # before `set`, which evicts
            self._disk.set(key, value)

        self._try(put, otherwise=None)

    def _remove_leftovers(self) -> None:
        """Remove value files without an entry: a kill between file and entry leaves them."""
        with self._pins.transaction() as sql:
            rows = sql.execute("SELECT filename FROM Cache WHERE filename IS NOT NULL")
            paths = {self._folder / name for (name,) in rows}
        for path in self._folder.glob("*/*/*.val"):
            with suppress(FileNotFoundError):  # another process evicted it or removes it too
                if path not in paths and time.time() - path.stat().st_mtime > _LEFTOVER_S:
                    path.unlink()

    def _try(self, act: Callable[[], Any], *, otherwise: Any) -> Any:
        try:
            return act()
        except _FAILURES as error:
            if not self._warned:
                logger.warning("cache %s fails (%s); Zeus goes on without it", self._folder, error)
                self._warned = True
            return otherwise


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
