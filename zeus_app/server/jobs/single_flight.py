"""Single flight: equal requests share one run, which is cancelled when its last client leaves.

Runs have threads of their own, so that waiting inferences take no thread from other requests.
"""

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from zeus_app.errors import CancelledError
from zeus_app.server.jobs.jobs import Client, Jobs, current_client

Result = dict[str, Any]
logger = logging.getLogger(__name__)


@dataclass(eq=False)
class _Run:
    task: asyncio.Task[Result]
    client: Client
    waiting: int = 0  # clients that wait for the result
    file_handed_out: bool = False  # a client got the result's own file, not a copy


class SingleFlight:
    """Runs inferences in threads. Only the server's event loop calls it, so it needs no lock.

    Args:
        threads: how many runs there may be, including those that wait in the scheduler.
    """

    def __init__(self, *, threads: int) -> None:
        self._threads = CapacityLimiter(threads)
        self._runs: dict[str, _Run] = {}

    async def run(
        self,
        work: Callable[[], Result],
        *,
        key: str,
        left: Callable[[], Awaitable[object]],
        jobs: Jobs,
        joined: Callable[[Client], None] = lambda client: None,
    ) -> Result:
        """Start `work` or join the run with the same key; cancel a run that nobody waits for.

        Args:
            work: returns what MONAI Label's `infer` returns. Its "file", if any, is deleted by the
                receiver.
            key: equal for equal requests; empty for a request that must run on its own.
            left: returns when this client does not wait any more.
            jobs: where the work is scheduled.
            joined: called with the clients of the run, by whom `jobs` knows its progress.

        Returns:
            The result, with a file that belongs to this request.

        Raises:
            CancelledError: the work was cancelled, or this client disconnected.
        """
        run = self._runs.get(key)
        if run is None or run.task.done():
            run = self._start(work, key)
        joined(run.client)
        run.waiting += 1
        if run.waiting > 1:
            logger.info("Zeus: %d clients wait for the same inference", run.waiting)
        disconnect = asyncio.ensure_future(left())
        try:
            await asyncio.wait({run.task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
            if not run.task.done():
                logger.info(
                    "Zeus: a client disconnected; %d wait for its inference", run.waiting - 1
                )
                raise CancelledError("the client disconnected")
            return await _result_with_own_file(run)
        finally:
            disconnect.cancel()
            run.waiting -= 1
            if run.waiting == 0:
                await self._end(run, key, jobs)

    def _start(self, work: Callable[[], Result], key: str) -> _Run:
        client = Client()
        context = copy_context()
        context.run(current_client.set, client)
        run_in_thread = to_thread.run_sync(work, limiter=self._threads)
        run = _Run(asyncio.create_task(run_in_thread, context=context), client)
        if key:
            self._runs[key] = run
        return run

    async def _end(self, run: _Run, key: str, jobs: Jobs) -> None:
        """Cancel a run that still runs, and delete a file that no client got."""
        if self._runs.get(key) is run:
            del self._runs[key]  # later requests must not join a cancelled run
        if not run.task.done():
            jobs.cancel_for(run.client)
            await asyncio.wait({run.task})  # the run may read the request's upload until then
        succeeded = not run.task.cancelled() and run.task.exception() is None
        if succeeded and not run.file_handed_out and (file := run.task.result()["file"]):
            Path(file).unlink(missing_ok=True)


async def wait_for_disconnect(request: Request) -> None:
    """Return when the client disconnects; earlier messages are the rest of a body."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _result_with_own_file(run: _Run) -> Result:
    """The result for one client. MONAI Label deletes the file after sending it.

    The last client that waits gets the file itself, each of the others a copy.
    """
    result = run.task.result()
    file = result["file"]
    if run.waiting == 1 or not file:
        run.file_handed_out = True
        return result
    copy = await run_in_threadpool(copy_to_temporary, str(file))
    return {**result, "file": copy, "label": copy if result["label"] == file else result["label"]}


def copy_to_temporary(file: str) -> str:
    """Copy an answer's file to a new one, which MONAI Label deletes after sending it."""
    suffix = "".join(Path(file).suffixes)
    handle, copy = tempfile.mkstemp(prefix="zeus-", suffix=suffix)
    os.close(handle)
    shutil.copyfile(file, copy)
    return copy
