"""The time budget of a training, and the share of it that the last validation needs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

LARGEST_RESERVE = 0.5
"""Largest share of the budget that is reserved for validation. The rest is left for steps."""


class Clock:
    """Wall-clock time of a training, without the time between interruption and resumption.

    Args:
        budget_s: longest duration of the training in seconds; None without limit.

    Attributes:
        validation_s: duration of the last validation, in seconds.
    """

    def __init__(self, budget_s: float | None) -> None:
        self.validation_s = 0.0
        self._budget_s = budget_s
        self._before = 0.0
        self._started = time.monotonic()

    def start(self, *, before: float) -> None:
        """Start the clock; `before` is the time used until an interruption, in seconds."""
        self._before, self._started = before, time.monotonic()

    @property
    def seconds(self) -> float:
        """Time used so far."""
        return self._before + time.monotonic() - self._started

    @property
    def share(self) -> float:
        """Used share of the time for steps; steps end at 1. Always 0 without a budget."""
        return 0.0 if self._budget_s is None else self.seconds / self._for_steps(self._budget_s)

    @property
    def allows_validation(self) -> bool:
        """Whether a validation now leaves at least its own duration for further steps.

        Otherwise the validation would end the steps before the learning rate has decayed.
        """
        if self._budget_s is None:
            return True
        return self.seconds + 2 * self.validation_s <= self._for_steps(self._budget_s)

    @contextmanager
    def validating(self) -> Iterator[None]:
        """Measure the duration of the validation inside."""
        began = time.monotonic()
        yield
        self.validation_s = time.monotonic() - began

    def _for_steps(self, budget_s: float) -> float:
        return budget_s - min(self.validation_s, LARGEST_RESERVE * budget_s)
