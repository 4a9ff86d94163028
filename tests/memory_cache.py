"""The embedding cache without a disk, for tests of what goes through it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from zeus_app.storage.cache import Cache
from zeus_app.types import FloatArray


class MemoryCache(Cache):
    """Keeps arrays and texts in dictionaries.

    Attributes:
        arrays, texts: what was put, by key.
        pinned: the keys that are pinned at this moment.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, FloatArray] = {}
        self.texts: dict[str, str] = {}
        self.pinned: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self.arrays or key in self.texts

    def get(self, key: str) -> FloatArray | None:
        return self.arrays.get(key)

    def put(self, key: str, value: npt.NDArray[np.generic]) -> None:
        assert np.issubdtype(value.dtype, np.floating)
        self.arrays[key] = np.asarray(value, value.dtype)

    def get_text(self, key: str) -> str | None:
        return self.texts.get(key)

    def put_text(self, key: str, value: str) -> None:
        self.texts[key] = value

    @contextmanager
    def pin(self, keys: Sequence[str]) -> Iterator[None]:
        self.pinned = list(keys)
        yield
        self.pinned = []
