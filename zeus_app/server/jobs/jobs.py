"""Jobs of this process: their progress, and the ways to cancel them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from zeus_app.errors import UnknownNameError
from zeus_app.server.jobs.scheduler import Priority, PriorityScheduler, QueueEntry


@dataclass(eq=False)
class Client:
    """All clients that wait for one result.

    Attributes:
        disconnected: the last of them closed its connection.
        has_begun: the work for them is or was queued; before, it waits for a thread.
    """

    disconnected: bool = False
    has_begun: bool = False


current_client: ContextVar[Client | None] = ContextVar("current_client", default=None)
"""The client that the work of this thread is done for; its jobs are cancelled with it."""


_WAITING = "waiting"  # the stage of a job before its first report


@dataclass(eq=False)
class Job(QueueEntry):
    """One inference: waiting, running or paused. It is the Report that the inference calls.

    Attributes:
        scheduler: the scheduler that the job yields to.
        client: the client that waits for it, if any.
        stage: what it does now, as clients see it.
        done: units of the stage that are done.
        total: units of the stage.
        created_s: when it was created, in seconds of the monotonic clock.
    """

    scheduler: "PriorityScheduler[Job]" = field(kw_only=True)
    client: Client | None = None
    stage: str = _WAITING
    done: int = 0
    total: int = 0
    created_s: float = field(default_factory=time.monotonic)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Record the progress, and yield to more urgent jobs.

        Raises:
            CancelledError: the job was cancelled, or its client disconnected.
        """
        self.stage, self.done, self.total = stage, done, total
        self.raise_if_cancelled()
        self.scheduler.yield_to_urgent(self)

    @property
    def is_waiting(self) -> bool:
        """Whether it has not reported yet."""
        return self.stage == _WAITING

    def is_cancelled(self) -> bool:
        """Whether it was cancelled, or its client disconnected."""
        return self.cancel_requested or (self.client is not None and self.client.disconnected)

    def as_json(self) -> dict[str, Any]:
        """An item of "inference" in GET /zeus/progress."""
        return {
            "study": self.study,
            "stage": "paused" if self.paused else self.stage,
            "done": self.done,
            "total": self.total,
            "elapsed_s": round(time.monotonic() - self.created_s, 1),
            "cancelled": self.is_cancelled(),
        }


class Jobs:
    """The heavy jobs of this process: clicks, inferences, background encoding. One runs at a time.

    Args:
        max_waiting: how many clicks may wait, and how many inferences.
    """

    def __init__(self, *, max_waiting: int = 8) -> None:
        self._scheduler: PriorityScheduler[Job] = PriorityScheduler(max_waiting=max_waiting)

    @contextmanager
    def job(self, study: str, *, urgent: bool = False) -> Iterator[Job]:
        """Wait until an inference may run, and run it in the body.

        Args:
            study: the study to segment.
            urgent: whether a user clicked. A click runs before inferences; a running inference
                pauses for it between two batches.

        Raises:
            BusyError: too many wait already.
            CancelledError: the job was cancelled before it ran.
        """
        with self._scheduled(study, Priority.CLICK if urgent else Priority.INFERENCE) as job:
            yield job

    @contextmanager
    def background(self, study: str) -> Iterator[Job]:
        """Wait until nothing else runs, and encode a study in the body; yields to all other jobs.

        Raises:
            CancelledError: the job was cancelled before it ran.
        """
        with self._scheduled(study, Priority.PREPARATION) as job:
            yield job

    @contextmanager
    def _scheduled(self, study: str, priority: Priority) -> Iterator[Job]:
        client = current_client.get()
        job = Job(study, priority, scheduler=self._scheduler, client=client)
        if client is not None:
            client.has_begun = True
        self._scheduler.enter(job)
        try:
            yield job
        finally:
            self._scheduler.release(job)

    def as_json(self) -> list[dict[str, Any]]:
        """All clicks and inferences, the running one first."""
        return [job.as_json() for job in self._inferences()]

    def of_client(self, client: Client) -> Job | None:
        """The job that clients wait for now; None before it is queued and after it ended."""
        return next((job for job in self._inferences() if job.client is client), None)

    def cancel(self, study: str) -> int:
        """Cancel every inference of a study; each stops before its next batch.

        Returns:
            How many were cancelled.

        Raises:
            UnknownNameError: no inference of the study runs or waits.
        """
        inferences = self._inferences()
        cancelled = [job for job in inferences if job.study == study]
        for job in cancelled:
            job.cancel_requested = True
        self._scheduler.notify_cancelled()
        if not cancelled:
            raise UnknownNameError(
                f"no inference of study {study!r} is running",
                expected=", ".join(job.study for job in inferences)
                or "a running inference (there is none)",
                remedy="look up the studies that are running: GET /zeus/progress",
            )
        return len(cancelled)

    def cancel_for(self, client: Client) -> None:
        """Cancel the jobs of a client that disconnected."""
        client.disconnected = True
        self._scheduler.notify_cancelled()

    def _inferences(self) -> list[Job]:
        return [job for job in self._scheduler.entries() if job.priority != Priority.PREPARATION]
