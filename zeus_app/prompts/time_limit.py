"""The time in which a click may encode further pictures: TimeLimit."""

import math
import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since any fixed moment."""


class TimeOverError(Exception):
    """The next batch of pictures would not be encoded in time."""


class TimeLimit:
    """Begins a batch only if it would end in time, should it take as long as the last one.

    Args:
        seconds: from now; infinite for no limit.
        clock: tells the time.
    """

    def __init__(self, seconds: float = math.inf, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._over_at = clock() + seconds
        self._batch_s = 0.0  # duration of the last batch
        self._began_at: float | None = None

    def begin_batch(self, *, always: bool = False) -> None:
        """Note that a batch begins.

        Args:
            always: begin it even if the time is over.

        Raises:
            TimeOverError: the batch would not end in time.
        """
        now = self._clock()
        if not always and (now >= self._over_at or now + self._batch_s > self._over_at):
            raise TimeOverError
        self._began_at = now

    def end_batch(self) -> None:
        """Note that the batch that runs has ended, if any runs."""
        if self._began_at is not None:
            self._batch_s, self._began_at = self._clock() - self._began_at, None
