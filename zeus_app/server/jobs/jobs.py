"""Where running inferences are, and the ways to stop them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from zeus_app.errors import UnknownNameError
from zeus_app.server.jobs.scheduler import Priority, PriorityScheduler, QueueEntry


class Client:
    """Whoever waits for a piece of work. When the last one has gone, nobody wants it."""

    gone = False


asking: ContextVar[Client | None] = ContextVar("asking", default=None)
"""For whom the work of this thread is done. A task need not know: its jobs are its client's."""


@dataclass(eq=False)
class Job(QueueEntry):
    """One inference, waiting, running or paused. Called as a Report by the work itself."""

    scheduler: "PriorityScheduler[Job]" = field(kw_only=True)
    client: Client | None = None
    stage: str = "waiting"
    done: int = 0
    total: int = 0
    started: float = field(default_factory=time.monotonic)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Note where the work is, and let a click go first.

        Raises:
            CancelledError: nobody wants the work any more.
        """
        self.stage, self.done, self.total = stage, done, total
        self.refuse_if_unwanted()
        self.scheduler.give_way(self)

    def unwanted(self) -> bool:
        """Whether it was cancelled, or its client went away."""
        return self.cancelled or (self.client is not None and self.client.gone)

    def as_json(self) -> dict[str, Any]:
        """What clients see."""
        return {
            "study": self.study,
            "stage": "paused" if self.paused else self.stage,
            "done": self.done,
            "total": self.total,
            "elapsed_s": round(time.monotonic() - self.started, 1),
            "cancelled": self.unwanted(),
        }


class Jobs:
    """The heavy work of this process: clicks, inferences, preparation; one runs at a time.

    Args:
        waiting: how many clicks may wait, and how many inferences.
    """

    def __init__(self, *, waiting: int = 8) -> None:
        self._scheduler: PriorityScheduler[Job] = PriorityScheduler(waiting=waiting)

    @contextmanager
    def job(self, study: str, *, urgent: bool = False) -> Iterator[Job]:
        """Wait for this inference's turn and hold it.

        Args:
            study: whose inference it is.
            urgent: a user clicked: it goes before inferences, and one that runs lets it in between
                two batches.

        Raises:
            BusyError: too many wait already.
            CancelledError: it was cancelled before its turn came.
        """
        with self._turn(study, Priority.CLICK if urgent else Priority.INFERENCE) as job:
            yield job

    @contextmanager
    def background(self, study: str) -> Iterator[Job]:
        """The same for work that nobody waits for; it gives way to everything."""
        with self._turn(study, Priority.PREPARATION) as job:
            yield job

    @contextmanager
    def _turn(self, study: str, turn: Priority) -> Iterator[Job]:
        job = Job(study, turn, scheduler=self._scheduler, client=asking.get())
        self._scheduler.join(job)
        try:
            yield job
        finally:
            self._scheduler.leave(job)

    def as_json(self) -> list[dict[str, Any]]:
        """All clicks and inferences, the running one first."""
        return [job.as_json() for job in self._wanted()]

    def cancel(self, study: str) -> int:
        """Cancel every inference of a study; they stop at their next batch.

        Returns:
            how many were told.

        Raises:
            UnknownNameError: none is running or waiting.
        """
        known = self._wanted()
        jobs = [job for job in known if job.study == study]
        for job in jobs:
            job.cancelled = True
        self._scheduler.look_again()
        if not jobs:
            raise UnknownNameError(
                f"no inference of study {study!r} is running",
                expected=", ".join(job.study for job in known) or "a running inference",
                remedy="see GET /zeus/progress",
            )
        return len(jobs)

    def forget(self, client: Client) -> None:
        """Cancel what is done for a client that went away."""
        client.gone = True
        self._scheduler.look_again()

    def _wanted(self) -> list[Job]:
        return [job for job in self._scheduler.order() if job.turn != Priority.PREPARATION]
