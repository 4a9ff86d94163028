"""What a server does first when it is told to end; test_interrupted_training has a real one."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from monailabel.utils.async_tasks.task import AsyncTask
from monailabel.utils.async_tasks.utils import background_executors

from zeus_app.server.lifecycle.shutdown import end_background_with_server

TOLD = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture
def received() -> Iterator[list[int]]:
    """Signals that reached the server's own handler."""
    signals: list[int] = []
    before = {number: signal.getsignal(number) for number in TOLD}
    for number in TOLD:
        signal.signal(number, lambda told, _: signals.append(told))
    end_background_with_server()
    yield signals
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", TOLD)
def test_what_runs_is_stopped_what_waits_is_dropped_and_then_the_server_is_told(
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


def test_a_process_that_has_just_ended_does_not_keep_the_server(
    received: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: str) -> None:
        raise psutil.NoSuchProcess(1)

    monkeypatch.setitem(background_executors, "train", ThreadPoolExecutor(1))
    monkeypatch.setattr(AsyncTask, "stop", gone)
    signal.raise_signal(signal.SIGTERM)
    assert received == [signal.SIGTERM]
