"""Studies that somebody works on: their pictures stay in memory, so that a click reads no file."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from zeus_app.studies.align import align_for
from zeus_app.studies.slices import slice_stack
from zeus_app.targets import Target
from zeus_app.types import SliceStack, Study


class SliceStackCache:
    """The stacks of the studies used last, up to a size.

    Args:
        target: says which sequences are wanted.
        limit_bytes: of all pictures together; the newest study stays whatever its size.
    """

    def __init__(self, target: Target, *, limit_bytes: int) -> None:
        self._target, self._limit = target, limit_bytes
        self._lock = threading.Lock()
        self._stacks: OrderedDict[Hashable, SliceStack] = OrderedDict()
        self._reading: dict[Hashable, threading.Lock] = {}

    def stack(self, key: Hashable, read: Callable[[], Study]) -> SliceStack:
        """A study's pictures.

        Args:
            key: names the study and the version of its files.
            read: reads it; called only when it is not open.

        Raises:
            InputError: it cannot be aligned.
        """
        if (known := self._known(key)) is not None:
            return known
        with self._lock:
            reading = self._reading.setdefault(key, threading.Lock())
        with reading:  # whoever else asks for it waits, and finds it
            if (known := self._known(key)) is not None:
                return known
            try:
                stack = slice_stack(align_for(read(), self._target), self._target.sequence_names)
                with self._lock:
                    self._stacks[key] = stack
                    self._close_the_oldest()
            finally:
                self._reading.pop(key, None)
            return stack

    def _known(self, key: Hashable) -> SliceStack | None:
        with self._lock:
            if key in self._stacks:
                self._stacks.move_to_end(key)
            return self._stacks.get(key)

    def _close_the_oldest(self) -> None:
        while len(self._stacks) > 1 and sum(map(_bytes, self._stacks.values())) > self._limit:
            self._stacks.popitem(last=False)


def _bytes(stack: SliceStack) -> int:
    return int(stack.pixels.nbytes)
