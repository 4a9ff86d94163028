"""Ending: a server that is told to end takes with it what it runs in the background.

Stock MONAI Label waits for it at an interrupt, hours for a training. A training's epochs are kept,
and the next one goes on with them.
"""

import signal
from contextlib import suppress
from types import FrameType

import psutil
from monailabel.utils.async_tasks.task import AsyncTask
from monailabel.utils.async_tasks.utils import background_executors


def end_background_with_server() -> None:
    """Let SIGINT and SIGTERM end trainings first. Call it in the main thread, once it serves."""
    for number in (signal.SIGINT, signal.SIGTERM):
        _before(number)


def _before(number: signal.Signals) -> None:
    server_ends = signal.getsignal(number)

    def end(received: int, frame: FrameType | None) -> None:
        for method, executor in list(background_executors.items()):
            executor.shutdown(wait=False, cancel_futures=True)  # those that wait in line
            with suppress(psutil.NoSuchProcess):  # it has just ended by itself
                AsyncTask.stop(method)
        if callable(server_ends):
            server_ends(received, frame)

    signal.signal(number, end)
