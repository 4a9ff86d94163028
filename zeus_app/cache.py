"""What frozen towers made, kept on disk by key, up to a size.

Safe under several processes and under a kill: an index in SQLite, large values in files of their
own, and a checksum in every array, so that a file cut short counts as lost, not as a value.
"""

import io
import logging
import sqlite3
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diskcache
import numpy as np
import numpy.typing as npt

from zeus_app.errors import InputError
from zeus_app.types import FloatArray

logger = logging.getLogger(__name__)

_CHECKSUM_BYTES = 4
_FAILURES = (OSError, sqlite3.Error, diskcache.Timeout)


@dataclass(frozen=True)
class CacheInfo:
    """How much a cache holds."""

    entries: int
    bytes: int


class Cache:
    """Arrays and texts by key, behind `protocols.Store`.

    When the size limit is passed, what was not used for longest goes first. A put that fails (full
    disk, read-only folder) is logged once and is a miss later; it never stops the work.
    """

    def __init__(self, folder: Path, *, size_limit_bytes: int) -> None:
        """Open the cache, making the folder if need be.

        Raises:
            InputError: the folder cannot be written, or its index is damaged.
        """
        try:
            self._disk: Any = diskcache.Cache(
                str(folder),
                size_limit=size_limit_bytes,
                eviction_policy="least-recently-used",
            )
        except _FAILURES as error:
            raise InputError(
                f"the cache folder {folder} cannot be used: {error}",
                expected="a writable folder, empty or with a whole cache",
                remedy="make it writable, or remove the folder: what it holds can be made again",
            ) from error
        self._folder = folder
        self._warned = False

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

    def info(self) -> CacheInfo:
        """Entries, and bytes on disk with the index."""
        return CacheInfo(entries=len(self._disk), bytes=int(self._disk.volume()))

    def close(self) -> None:
        """Close the index; the next call opens it again."""
        self._disk.close()

    def _put(self, key: str, value: bytes | str) -> None:
        self._try(lambda: self._disk.set(key, value), otherwise=False)

    def _try(self, act: Callable[[], Any], *, otherwise: Any) -> Any:  # noqa: ANN401
        try:
            return act()
        except _FAILURES as error:
            if not self._warned:
                logger.warning("cache %s fails (%s); going on without it", self._folder, error)
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
