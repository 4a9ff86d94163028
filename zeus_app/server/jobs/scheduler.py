"""Priority scheduler: one heavy job runs at a time; between batches it yields to more urgent jobs.

An inference may take a minute and a click a second, on the same cores. So a running job asks
between its batches whether a more urgent one waits, pauses for it, and then goes on.
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

_RECENT_RUNS = 8  # finished jobs of each priority whose mean time predicts the next one's


class Priority(IntEnum):
    """Urgency of a job: the lower number runs first."""

    CLICK = 0
    PROPAGATION = 1  # the rest of a click: from the clicked slices to their neighbours
    INFERENCE = 2
    PREPARATION = 3  # background encoding; no client waits for it


@dataclass(eq=False)
class QueueEntry:
    """A job in the scheduler: waiting, running or paused.

    Attributes:
        study: the study that the job works on.
        priority: how urgent the job is. It may change while the job runs.
        cancel_requested: a client cancelled the job.
        paused: the job ran and yielded to a more urgent one.
        arrival: position in the order of arrival, from 1.
        run_s: seconds that the job ran before its last pause or its end.
    """

    study: str
    priority: Priority = Priority.INFERENCE
    cancel_requested: bool = False
    paused: bool = field(default=False, init=False)
    arrival: int = field(default=0, init=False)
    run_s: float = field(default=0.0, init=False)
    _resumed_at: float = field(default=0.0, init=False)

    def resume(self) -> None:
        """Start the job's clock, at its begin or after a pause."""
        self.paused, self._resumed_at = False, time.monotonic()

    def stop(self) -> None:
        """Stop the job's clock, at a pause or at its end."""
        self.run_s += time.monotonic() - self._resumed_at

    def elapsed_s(self) -> float:
        """Seconds that a running or paused job ran so far, without its pauses."""
        return self.run_s if self.paused else self.run_s + time.monotonic() - self._resumed_at

    def is_cancelled(self) -> bool:
        """Whether nobody waits for the result any more."""
        return self.cancel_requested

    def raise_if_cancelled(self) -> None:
        """Raise CancelledError when nobody waits for the result any more."""
        if self.is_cancelled():
            raise CancelledError(f"the inference of study {self.study!r} was cancelled")


EntryT = TypeVar("EntryT", bound=QueueEntry)


class PriorityScheduler(Generic[EntryT]):
    """A bounded priority queue of jobs, fair between studies.

    Jobs run in the order of their priority. Within a priority, a paused job goes on first. Then
    comes the study that ran least recently, so that one study cannot block the others. Equals run
    in the order of arrival.

    Args:
        max_waiting: how many clicks may wait, and how many inferences. Background encoding has no
            limit.
    """

    def __init__(self, *, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._changed = threading.Condition()
        self._running: EntryT | None = None
        self._queue: list[EntryT] = []  # waiting and paused jobs, in no order
        self._last_start: dict[str, int] = {}  # study -> number of its newest start
        self._starts = 0
        self._arrivals = 0
        self._recent_run_s: defaultdict[Priority, deque[float]] = defaultdict(
            lambda: deque(maxlen=_RECENT_RUNS)
        )

    def enter(self, entry: EntryT) -> None:
        """Queue a job and return when it may run.

        Raises:
            BusyError: as many jobs of its kind wait as may wait.
            CancelledError: the job was cancelled before it ran.
        """
        with self._changed:
            entry.raise_if_cancelled()
            self._raise_if_full(entry.priority)
            self._arrivals += 1
            entry.arrival = self._arrivals
            self._queue.append(entry)
            self._start_next()
            self._wait_until_running(entry)

    def yield_to_urgent(self, entry: EntryT) -> None:
        """Pause the running job while more urgent jobs run. Call it between batches.

        Raises:
            CancelledError: the job was cancelled during the pause.
        """
        with self._changed:
            is_running = self._running is entry
            if is_running and any(other.priority < entry.priority for other in self._queue):
                entry.stop()
                entry.paused, self._running = True, None
                self._queue.append(entry)
                self._start_next()
                self._wait_until_running(entry)

    def release(self, entry: EntryT) -> None:
        """End the running job and start the next one; nothing for a job that does not run."""
        with self._changed:
            if self._running is not entry:
                return
            entry.stop()
            if not entry.is_cancelled():
                self._recent_run_s[entry.priority].append(entry.run_s)
            self._running = None
            self._start_next()

    def notify_cancelled(self) -> None:
        """Wake waiting and paused jobs, so that the cancelled ones leave the queue."""
        with self._changed:
            self._changed.notify_all()

    def entries(self) -> list[EntryT]:
        """All jobs: the running one, then the others in the order in which they would run."""
        with self._changed:
            running = [self._running] if self._running else []
            return running + sorted(self._queue, key=self._rank)

    def _rank(self, entry: EntryT) -> tuple[int, bool, int, int]:
        last_start = self._last_start.get(entry.study, 0)
        return entry.priority, not entry.paused, last_start, entry.arrival

    def _start_next(self) -> None:
        if self._running is None and self._queue:
            self._running = min(self._queue, key=self._rank)
            self._queue.remove(self._running)
            self._starts += 1
            self._last_start[self._running.study] = self._starts
            # Forget studies without a job, or the dictionary grows as long as the server runs.
            studies = {entry.study for entry in (self._running, *self._queue)}
            self._last_start = {s: start for s, start in self._last_start.items() if s in studies}
            self._running.resume()
        self._changed.notify_all()

    def _wait_until_running(self, entry: EntryT) -> None:
        try:
            while self._running is not entry:
                entry.raise_if_cancelled()
                self._changed.wait()
        except CancelledError:
            self._queue.remove(entry)
            raise

    def _raise_if_full(self, priority: Priority) -> None:
        waiting = sum(other.priority == priority and not other.paused for other in self._queue)
        if priority != Priority.PREPARATION and self._running and waiting >= self._max_waiting:
            started = self._started_job(priority) or self._running
            raise BusyError(
                f"{waiting} {priority.name.lower()}s wait already",
                retry_after_s=self._remaining_s(started),
            )

    def _started_job(self, priority: Priority) -> EntryT | None:
        """The running or paused job of a priority."""
        started = [self._running, *(other for other in self._queue if other.paused)]
        return next((entry for entry in started if entry and entry.priority == priority), None)

    def _remaining_s(self, started: EntryT) -> int:
        """Estimate when a started job ends, in whole seconds, at least 1.

        The mean of recent jobs is its expected time. Before any ended, it counts as half done.
        """
        elapsed_s = started.elapsed_s()
        recent_s = self._recent_run_s[started.priority]
        expected_s = fmean(recent_s) if recent_s else 2 * elapsed_s
        return max(1, math.ceil(expected_s - elapsed_s))
