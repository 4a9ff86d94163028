"""Where running inferences are, and the way to stop them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from zeus_app.errors import CancelledError, UnknownNameError

_LOOK_EVERY_S = 0.1  # how soon one that waits in line learns that it was cancelled


@dataclass(eq=False)
class Job:
    """One inference, waiting or running. Called as a Report by the work itself."""

    study: str
    stage: str = "waiting"
    done: int = 0
    total: int = 0
    started: float = field(default_factory=time.monotonic)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Note where the work is. Raises CancelledError when nobody wants it any more."""
        self.stage, self.done, self.total = stage, done, total
        if self.cancelled.is_set():
            raise CancelledError(f"the inference of study {self.study!r} was cancelled")

    def as_json(self) -> dict[str, Any]:
        """What clients see."""
        return {
            "study": self.study,
            "stage": self.stage,
            "done": self.done,
            "total": self.total,
            "elapsed_s": round(time.monotonic() - self.started, 1),
            "cancelled": self.cancelled.is_set(),
        }


class Jobs:
    """The line of inferences: one runs at a time, in this process."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._jobs: list[Job] = []

    @contextmanager
    def job(self, study: str) -> Iterator[Job]:
        """Wait for this inference's turn and hold it.

        Raises:
            CancelledError: it was cancelled before its turn came.
        """
        job = Job(study)
        self._jobs.append(job)
        try:
            while not self._turn.acquire(timeout=_LOOK_EVERY_S):
                job("waiting", 0, 0)
            try:
                yield job
            finally:
                self._turn.release()
        finally:
            self._jobs.remove(job)

    def as_json(self) -> list[dict[str, Any]]:
        """All inferences, the running one first."""
        return [job.as_json() for job in list(self._jobs)]

    def cancel(self, study: str) -> int:
        """Cancel every inference of a study; they stop at their next batch.

        Returns:
            how many were told.

        Raises:
            UnknownNameError: none is running or waiting.
        """
        jobs = [job for job in list(self._jobs) if job.study == study]
        for job in jobs:
            job.cancelled.set()
        if not jobs:
            raise UnknownNameError(
                f"no inference of study {study!r} is running",
                expected=", ".join(job.study for job in self._jobs) or "a running inference",
                remedy="see GET /zeus/progress",
            )
        return len(jobs)
