"""How much of its time a training has used, and what of it the closing validation needs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

LARGEST_RESERVE = 0.5
"""Share of a budget that is left to validation at most: however slow it is, something is learnt."""


class Clock:
    """Wall-clock time of a training, without what an interruption lost.

    Args:
        budget_s: how long the training may last, or None.

    Attributes:
        validation_s: how long a validation takes, as measured last.
    """

    def __init__(self, budget_s: float | None) -> None:
        self.validation_s = 0.0
        self._budget_s = budget_s
        self._before = 0.0
        self._started = time.monotonic()

    def start(self, *, before: float) -> None:
        """Begin to count; `before` is what was used until an interruption."""
        self._before, self._started = before, time.monotonic()

    @property
    def seconds(self) -> float:
        """Time used so far."""
        return self._before + time.monotonic() - self._started

    @property
    def share(self) -> float:
        """Used part of the time for steps; from 1 on none should follow. 0 without a budget."""
        return 0.0 if self._budget_s is None else self.seconds / self._for_steps(self._budget_s)

    @property
    def allows_validation(self) -> bool:
        """Whether a validation now would leave as much time as it takes for further steps.

        One that used that time up would end the steps at a learning rate that has not decayed.
        """
        if self._budget_s is None:
            return True
        return self.seconds + 2 * self.validation_s <= self._for_steps(self._budget_s)

    @contextmanager
    def validating(self) -> Iterator[None]:
        """Measure the validation that is done meanwhile."""
        began = time.monotonic()
        yield
        self.validation_s = time.monotonic() - began

    def _for_steps(self, budget_s: float) -> float:
        return budget_s - min(self.validation_s, LARGEST_RESERVE * budget_s)
