"""Whose turn it is: one piece of heavy work runs at a time in this process, and gives way.

A study can take a minute and a click a second, on the same cores. So work that holds the turn is
asked between its batches whether something more urgent waits, and goes on after it.
"""

import math
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from enum import IntEnum
from statistics import fmean
from typing import Generic, TypeVar

from zeus_app.errors import BusyError, CancelledError

_REMEMBERED = 8  # pieces of work whose time tells how long the next ones take


class Priority(IntEnum):
    """Who goes before whom: the lower number first."""

    CLICK = 0
    PROPAGATING = 1  # the rest of a click: from the slices that it was on to their neighbours
    INFERENCE = 2
    PREPARATION = 3


@dataclass(eq=False)
class QueueEntry:
    """A piece of work in the line, waiting, running or paused."""

    study: str
    turn: Priority = Priority.INFERENCE
    cancelled: bool = False
    paused: bool = field(default=False, init=False)
    arrived: int = field(default=0, init=False)
    held_s: float = field(default=0.0, init=False)  # pauses not counted
    _since: float = field(default=0.0, init=False)

    def begin(self) -> None:
        """The turn is its own from now on."""
        self.paused, self._since = False, time.monotonic()

    def end(self) -> None:
        """The turn is no longer its own."""
        self.held_s += time.monotonic() - self._since

    def had_s(self) -> float:
        """Seconds of the turn so far, for one that holds it or is paused."""
        return self.held_s if self.paused else self.held_s + time.monotonic() - self._since

    def unwanted(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.cancelled

    def refuse_if_unwanted(self) -> None:
        """Raise CancelledError when nobody waits for it any more."""
        if self.unwanted():
            raise CancelledError(f"the inference of study {self.study!r} was cancelled")


P = TypeVar("P", bound=QueueEntry)


class PriorityScheduler(Generic[P]):
    """A line with a bound, fair between studies.

    Clicks go first, then what they began, then inferences, then preparation. Among equals a paused
    one goes on first, then the study that was served longest ago, so that one study cannot take
    every turn.

    Args:
        waiting: how many clicks may wait, and how many inferences.
    """

    def __init__(self, *, waiting: int) -> None:
        self._bound = waiting
        self._changed = threading.Condition()
        self._holder: P | None = None
        self._others: list[P] = []
        self._served: dict[str, int] = {}  # study -> when it had its last turn, counted in turns
        self._turns = 0
        self._arrivals = 0
        self._took: defaultdict[Priority, deque[float]] = defaultdict(
            lambda: deque(maxlen=_REMEMBERED)
        )

    def join(self, entry: P) -> None:
        """Wait for the turn.

        Raises:
            BusyError: too many wait already.
            CancelledError: cancelled before its turn came.
        """
        with self._changed:
            entry.refuse_if_unwanted()
            self._refuse_too_many(entry.turn)
            self._arrivals += 1
            entry.arrived = self._arrivals
            self._others.append(entry)
            self._hand_on()
            self._await_turn(entry)

    def give_way(self, entry: P) -> None:
        """Let those go first that are more urgent than the one that holds the turn.

        Raises:
            CancelledError: it was cancelled meanwhile.
        """
        with self._changed:
            if self._holder is entry and any(one.turn < entry.turn for one in self._others):
                entry.end()
                entry.paused, self._holder = True, None
                self._others.append(entry)
                self._hand_on()
                self._await_turn(entry)

    def leave(self, entry: P) -> None:
        """Give the turn to the next, for good."""
        with self._changed:
            if self._holder is not entry:
                return
            entry.end()
            if not entry.unwanted():
                self._took[entry.turn].append(entry.held_s)
            self._holder = None
            self._hand_on()

    def look_again(self) -> None:
        """Some are unwanted since: they leave the line, or stop at their next batch."""
        with self._changed:
            self._changed.notify_all()

    def order(self) -> list[P]:
        """All in the line: the one that runs, then as their turns would come."""
        with self._changed:
            running = [self._holder] if self._holder else []
            return running + sorted(self._others, key=self._rank)

    def _rank(self, entry: P) -> tuple[int, bool, int, int]:
        served = self._served.get(entry.study, 0)
        return entry.turn, not entry.paused, served, entry.arrived

    def _hand_on(self) -> None:
        if self._holder is None and self._others:
            self._holder = min(self._others, key=self._rank)
            self._others.remove(self._holder)
            self._turns += 1
            self._served[self._holder.study] = self._turns
            here = {entry.study for entry in (self._holder, *self._others)}
            self._served = {name: when for name, when in self._served.items() if name in here}
            self._holder.begin()
        self._changed.notify_all()

    def _await_turn(self, entry: P) -> None:
        try:
            while self._holder is not entry:
                entry.refuse_if_unwanted()
                self._changed.wait()
        except CancelledError:
            self._others.remove(entry)
            raise

    def _refuse_too_many(self, turn: Priority) -> None:
        waiting = sum(other.turn == turn and not other.paused for other in self._others)
        if turn != Priority.PREPARATION and self._holder and waiting >= self._bound:
            raise BusyError(
                f"{waiting} {turn.name.lower()}s wait already",
                retry_after_s=self._until_one_ends_s(self._under_way(turn) or self._holder),
            )

    def _under_way(self, turn: Priority) -> P | None:
        """The one of this kind that holds the turn or was paused."""
        begun = [self._holder, *(other for other in self._others if other.paused)]
        return next((one for one in begun if one and one.turn == turn), None)

    def _until_one_ends_s(self, begun: P) -> int:
        """By the mean of the last ones; before any ended, as if this one were half done."""
        had = begun.had_s()
        took = self._took[begun.turn]
        typical = fmean(took) if took else 2 * had
        return max(1, math.ceil(typical - had))
