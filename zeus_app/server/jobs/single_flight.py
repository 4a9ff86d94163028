"""One run for equal requests, for as long as a client waits for it.

The runs have threads of their own: however many wait, the server's other threads stay free.
"""

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from zeus_app.errors import CancelledError
from zeus_app.server.jobs.jobs import Client, Jobs, asking

Result = dict[str, Any]
logger = logging.getLogger(__name__)


@dataclass(eq=False)
class _Run:
    task: asyncio.Task[Result]
    client: Client
    takers: int = 0
    taken: bool = False  # its file was given away


class SingleFlight:
    """Runs inferences in threads. Used on the server's event loop alone, so it needs no lock.

    Args:
        threads: how many runs there may be, those that wait in the line included.
    """

    def __init__(self, *, threads: int) -> None:
        self._threads = CapacityLimiter(threads)
        self._runs: dict[str, _Run] = {}

    async def answer(
        self, work: Callable[[], Result], *, key: str, http: Request, jobs: Jobs
    ) -> Result:
        """Run `work`, or wait for the run with the same key; cancel it when nobody waits for it.

        Args:
            work: gives what MONAI Label's `infer` does; "file", if there is one, is to be deleted
                by its receiver.
            key: what makes requests equal; empty for one that is like no other.
            http: the request; its body was read.
            jobs: where the work takes its turn.

        Returns:
            the result, with a file that is this request's own.

        Raises:
            CancelledError: it was cancelled, or this client went away.
        """
        run = self._runs.get(key)
        if run is None or run.task.done():
            run = self._begun(work, key)
        run.takers += 1
        if run.takers > 1:
            logger.info("Zeus: %d clients wait for the same inference", run.takers)
        gone = asyncio.create_task(_disconnected(http))
        try:
            await asyncio.wait({run.task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not run.task.done():
                logger.info("Zeus: a client went away; %d wait for its inference", run.takers - 1)
                raise CancelledError("the client went away")
            return await _own(run)
        finally:
            gone.cancel()
            run.takers -= 1
            if run.takers == 0:
                await self._end(run, key, jobs)

    def _begun(self, work: Callable[[], Result], key: str) -> _Run:
        client = Client()

        async def in_a_thread() -> Result:
            asking.set(client)  # the thread gets a copy of this task's context
            return await to_thread.run_sync(work, limiter=self._threads)

        run = _Run(asyncio.create_task(in_a_thread()), client)
        if key:
            self._runs[key] = run
        return run

    async def _end(self, run: _Run, key: str, jobs: Jobs) -> None:
        if self._runs.get(key) is run:
            del self._runs[key]  # nobody joins what is being cancelled
        if not run.task.done():
            jobs.forget(run.client)
            await asyncio.wait({run.task})  # the request's own file stays open until then
        ended_well = not run.task.cancelled() and run.task.exception() is None
        if ended_well and not run.taken and (file := run.task.result()["file"]):
            Path(file).unlink(missing_ok=True)


async def _disconnected(http: Request) -> None:
    """Wait until the client goes away. What comes before is the rest of a body."""
    while (await http.receive())["type"] != "http.disconnect":
        pass


async def _own(run: _Run) -> Result:
    """The result, with a file of this taker's: MONAI Label deletes it after sending."""
    result = run.task.result()
    file = result["file"]
    if run.takers == 1 or not file:
        run.taken = True
        return result
    copy = await run_in_threadpool(_copied, str(file))
    return {**result, "file": copy, "label": copy if result["label"] == file else result["label"]}


def _copied(file: str) -> str:
    suffix = "".join(Path(file).suffixes)
    handle, copy = tempfile.mkstemp(prefix="zeus-", suffix=suffix)
    os.close(handle)
    shutil.copyfile(file, copy)
    return copy
