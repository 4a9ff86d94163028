"""Inferences that a client fetches later, so that no proxy ends a long request.

A job has an id that nobody can guess. Its result is kept for a while, see `JobLimits`. A server
that ends cancels its jobs and deletes their results.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from zeus_app.errors import BusyError, CancelledError, InputError, UnknownNameError
from zeus_app.server.jobs.jobs import Client, Jobs
from zeus_app.types import MIB

Result = dict[str, Any]

_RETRY_AFTER_S = 30
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobLimits:
    """How many jobs there may be, and how long their results are kept.

    Attributes:
        unfinished: jobs that may wait or run.
        results: results that are kept; the oldest go first.
        result_bytes: of all kept results together. The newest stays whatever its size.
        age_s: seconds that a result is kept.
    """

    unfinished: int
    results: int = 32
    result_bytes: int = 512 * MIB
    age_s: float = 3600.0


@dataclass(eq=False)
class InferenceJob:
    """An inference that a client asked for and does not wait for.

    Attributes:
        id: a random word, which is all that a client needs to fetch the result.
        owner: the user who asked; empty where no log-in is required.
        model: name of the model.
        cancelled: set when nobody wants the result any more.
        client: the clients of its run, once it has joined one.
        task: gives the result, with a file that belongs to this job.
        ended_s: when it ended, in seconds of the monotonic clock.
    """

    id: str
    owner: str
    model: str
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    client: Client | None = None
    task: asyncio.Task[Result] = field(init=False)
    created_s: float = field(default_factory=time.monotonic)
    ended_s: float | None = None

    def joins(self, client: Client) -> None:
        """Note the clients of the run, by whom `Jobs` knows its progress."""
        self.client = client

    def file(self) -> Path | None:
        """The file of a finished job; None if there is none."""
        has_result = self.task.done() and not self.task.cancelled() and not self.task.exception()
        name = self.task.result()["file"] if has_result else None
        return Path(name) if name else None

    def state(self, jobs: Jobs) -> dict[str, Any]:
        """What clients see: "state" is queued, running, done or failed; and the progress."""
        elapsed_s = round((self.ended_s or time.monotonic()) - self.created_s, 1)
        known = {"job": self.id, "model": self.model, "elapsed_s": elapsed_s}
        if self.ended_s is not None:
            return {**known, "state": "failed" if self.task.exception() else "done"}
        if self.client is None or not self.client.has_begun:
            return {**known, "state": "queued"}
        running = jobs.of_client(self.client)
        if running is None:  # between two stages
            return {**known, "state": "running"}
        progress = {key: running.as_json()[key] for key in ("study", "stage", "done", "total")}
        return {**known, "state": "queued" if running.is_waiting else "running", **progress}


class InferenceJobs:
    """The jobs of a server. Only the server's event loop calls it, so it needs no lock.

    Args:
        limits: how many there may be, and how long results are kept.
    """

    def __init__(self, limits: JobLimits) -> None:
        self.limits = limits
        self._jobs: dict[str, InferenceJob] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_ended = False

    def refuse_when_full(self) -> None:
        """Refuse a further job while too many wait or run. Raises BusyError."""
        unfinished = sum(job.ended_s is None for job in self._jobs.values())
        if self._has_ended or unfinished >= self.limits.unfinished:
            raise BusyError(f"{unfinished} jobs wait or run already", retry_after_s=_RETRY_AFTER_S)

    def start(
        self, run: Callable[[InferenceJob], Awaitable[Result]], *, owner: str, model: str
    ) -> InferenceJob:
        """Start a job.

        Args:
            run: runs the inference until it is done or `job.cancelled` is set.
            owner: the user who asked; empty where no log-in is required.
            model: name of the model.

        Raises:
            BusyError: too many jobs wait or run.
        """
        self.refuse_when_full()
        self._loop = asyncio.get_running_loop()
        job = InferenceJob(secrets.token_urlsafe(24), owner, model)
        job.task = asyncio.ensure_future(_result_of(run(job)))
        job.task.add_done_callback(lambda _: self._end(job))
        self._jobs[job.id] = job
        return job

    def get(self, name: str, *, owner: str) -> InferenceJob:
        """A job of this user by its id.

        Raises:
            UnknownNameError: there is no such job, or it belongs to another user.
        """
        job = self._jobs.get(name)
        if job is None or job.owner != owner:
            minutes = f"{self.limits.age_s / 60:.0f} minutes"
            raise UnknownNameError(
                f"unknown job {name[:80]!r}",
                expected=f"a job of yours; a result is kept for {minutes}",
                remedy="send the request again with POST /infer/{model}?async=true",
            )
        return job

    def remove(self, job: InferenceJob) -> bool:
        """Cancel a job, and delete its result.

        Returns:
            Whether the job waited or ran.
        """
        self._jobs.pop(job.id, None)
        job.cancelled.set()
        if file := job.file():
            file.unlink(missing_ok=True)
        return job.ended_s is None

    def end_soon(self) -> None:
        """Cancel all jobs and delete all results. A signal's handler may call it."""
        self._has_ended = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._remove_all)

    def _remove_all(self) -> None:
        for job in list(self._jobs.values()):
            self.remove(job)

    def _end(self, job: InferenceJob) -> None:
        job.ended_s = time.monotonic()
        if job.task.cancelled() or job.cancelled.is_set():
            self.remove(job)
            return
        error = job.task.exception()
        if error is not None and not isinstance(error, InputError | BusyError | CancelledError):
            logger.error("an inference failed that its client has not fetched", exc_info=error)
        self._drop_oldest()
        if self._loop is not None:
            self._loop.call_later(self.limits.age_s, self.remove, job)

    def _drop_oldest(self) -> None:
        """Keep results within the limits, the newest whatever its size."""
        ended = [(job.ended_s, job) for job in self._jobs.values() if job.ended_s is not None]
        newest_first = [job for _, job in sorted(ended, key=lambda pair: pair[0], reverse=True)]
        sizes = accumulate(map(_bytes, newest_first))
        for rank, (job, size) in enumerate(zip(newest_first, sizes, strict=True)):
            if rank and (rank >= self.limits.results or size > self.limits.result_bytes):
                self.remove(job)


async def _result_of(running: Awaitable[Result]) -> Result:
    return await running


def _bytes(job: InferenceJob) -> int:
    file = job.file()
    return file.stat().st_size if file and file.exists() else 0
