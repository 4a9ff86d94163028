"""Shutdown: an interrupted server stops its trainings, batches and jobs before it ends.

Stock MONAI Label waits for them, which takes hours for a training. The epochs that a training has
finished are saved, and the next training resumes from them.
"""

import signal
from contextlib import suppress
from types import FrameType

import psutil
from monailabel.utils.async_tasks.task import AsyncTask
from monailabel.utils.async_tasks.utils import background_executors

from zeus_app.server.jobs.inference_jobs import InferenceJobs


def stop_tasks_at_shutdown(jobs: InferenceJobs) -> None:
    """Let SIGINT and SIGTERM stop background tasks before the server's own handler runs.

    Call it in the main thread, after the server has set its handlers.

    Args:
        jobs: the inferences that clients fetch later.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        _stop_tasks_at(number, jobs)


def _stop_tasks_at(number: signal.Signals, jobs: InferenceJobs) -> None:
    server_handler = signal.getsignal(number)

    def handler(received: int, frame: FrameType | None) -> None:
        jobs.end_soon()
        for method, executor in list(background_executors.items()):
            executor.shutdown(wait=False, cancel_futures=True)  # drops tasks that wait
            with suppress(psutil.NoSuchProcess):  # the task's process has just ended
                AsyncTask.stop(method)
        if callable(server_handler):
            server_handler(received, frame)

    signal.signal(number, handler)
