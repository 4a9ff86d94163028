"""A cache of opened studies, so that a click or a repeated inference reads no file."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from zeus_app.studies.opened import OpenedStudy, open_study
from zeus_app.targets import Target
from zeus_app.types import Study


class SliceStackCache:
    """An LRU cache of opened studies, bounded by the size of their slices.

    Args:
        target: says which sequences are cut into slices.
        limit_bytes: bound on all slices together. The newest study stays whatever its size.
    """

    def __init__(self, target: Target, *, limit_bytes: int) -> None:
        self._target, self._limit = target, limit_bytes
        self._lock = threading.Lock()
        self._studies: OrderedDict[Hashable, OpenedStudy] = OrderedDict()
        self._reading: dict[Hashable, threading.Lock] = {}

    def open(self, key: Hashable, read: Callable[[], Study]) -> OpenedStudy:
        """Return a study from the cache, or read and open it.

        Threads that ask for the same key while it is read wait for that one reading.

        Args:
            key: names the study and the version of its files.
            read: reads the study; called only when the key is not in the cache.

        Raises:
            InputError: the study cannot be aligned.
        """
        return self._open(key, lambda: open_study(read(), self._target))

    def open_sequences(
        self, key: Hashable, read: Callable[[], Study], names: tuple[str, ...]
    ) -> OpenedStudy:
        """The same study with some of its sequences alone, cached beside the whole study.

        Args:
            key: names the study and the version of its files.
            read: reads the study; called only when the key is not in the cache.
            names: sequences of the study, in the target's order.

        Raises:
            InputError: the study cannot be aligned.
        """
        return self._open((key, names), lambda: self.open(key, read).with_sequences(names))

    def _open(self, key: Hashable, make: Callable[[], OpenedStudy]) -> OpenedStudy:
        if (cached := self._cached(key)) is not None:
            return cached
        with self._lock:
            reading = self._reading.setdefault(key, threading.Lock())
        with reading:
            if (cached := self._cached(key)) is not None:
                return cached
            try:
                opened = make()
                with self._lock:
                    self._studies[key] = opened
                    self._evict()
            finally:
                self._reading.pop(key, None)
            return opened

    def _cached(self, key: Hashable) -> OpenedStudy | None:
        with self._lock:
            if key in self._studies:
                self._studies.move_to_end(key)
            return self._studies.get(key)

    def _evict(self) -> None:
        while len(self._studies) > 1 and sum(map(_bytes, self._studies.values())) > self._limit:
            self._studies.popitem(last=False)


def _bytes(opened: OpenedStudy) -> int:
    return int(opened.stack.pixels.nbytes)
