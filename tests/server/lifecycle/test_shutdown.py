"""The signal handlers of a server; jobs/test_interrupted_training.py has a real server."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from monailabel.utils.async_tasks.task import AsyncTask
from monailabel.utils.async_tasks.utils import background_executors

from zeus_app.server.jobs.inference_jobs import InferenceJobs, JobLimits
from zeus_app.server.lifecycle.shutdown import stop_tasks_at_shutdown

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture
def received() -> Iterator[list[int]]:
    """Signals that reached the server's own handler."""
    signals: list[int] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, lambda number, _: signals.append(number))
    stop_tasks_at_shutdown(InferenceJobs(JobLimits(unfinished=1)))
    yield signals
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_running_tasks_stop_and_waiting_ones_are_dropped_before_the_servers_own_handler_runs(
    number: signal.Signals, received: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[tuple[str, list[int]]] = []
    monkeypatch.setitem(background_executors, "train", ThreadPoolExecutor(1))
    monkeypatch.setattr(AsyncTask, "stop", lambda method: stopped.append((method, [*received])))
    signal.raise_signal(number)
    assert stopped == [("train", [])]
    assert received == [number]
    with pytest.raises(RuntimeError, match="after shutdown"):
        background_executors["train"].submit(print)


def test_a_task_that_has_just_ended_does_not_stop_the_shutdown(
    received: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: str) -> None:
        raise psutil.NoSuchProcess(1)

    monkeypatch.setitem(background_executors, "train", ThreadPoolExecutor(1))
    monkeypatch.setattr(AsyncTask, "stop", gone)
    signal.raise_signal(signal.SIGTERM)
    assert received == [signal.SIGTERM]
