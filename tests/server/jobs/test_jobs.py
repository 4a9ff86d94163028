"""During a slow inference: other requests are answered, progress is shown, and it can stop."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.server.fakes.fake_model import HELD_STEPS
from tests.server.running import Server
from tests.waiting import wait_until


class Inference:
    """One POST /infer in a thread of its own."""

    def __init__(self, server: Server, study: str) -> None:
        self.server, self.study = server, study
        self.response: requests.Response | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        address = f"{self.server.url}/infer/zeus?image={self.study}&output=json"
        self.response = requests.post(address, timeout=60)

    def ended(self) -> requests.Response:
        self.thread.join(timeout=60)
        assert self.response is not None
        return self.response


def progress(server: Server) -> list[dict[str, Any]]:
    state = requests.get(f"{server.url}/zeus/progress", timeout=10).json()
    inferences: list[dict[str, Any]] = state["inference"]
    return inferences


def wait_until_it_encodes(server: Server) -> dict[str, Any]:
    wait_until(lambda: [job["stage"] for job in progress(server) if job["done"]] == ["encoding"])
    return progress(server)[0]


@pytest.fixture
def slow(server: Server) -> Iterator[Inference]:
    inference = Inference(server, "slow")
    yield inference
    requests.delete(f"{server.url}/zeus/infer/slow", timeout=10)
    inference.ended()


def test_the_progress_of_an_inference_is_shown(server: Server, slow: Inference) -> None:
    running = wait_until_it_encodes(server)
    assert running["study"] == "slow"
    assert 0 < running["done"] < running["total"] == HELD_STEPS


def test_info_is_answered_while_an_inference_runs(server: Server, slow: Inference) -> None:
    wait_until_it_encodes(server)
    assert requests.get(f"{server.url}/info/", timeout=10).ok
    assert [job["study"] for job in progress(server)] == ["slow"]


def test_a_cancelled_inference_ends_early_with_a_409(server: Server, slow: Inference) -> None:
    wait_until_it_encodes(server)
    assert requests.delete(f"{server.url}/zeus/infer/slow", timeout=10).json()["cancelled"] == 1
    response = slow.ended()
    assert response.status_code == 409
    assert "cancelled" in response.json()["detail"]
    assert progress(server) == []


def test_a_waiting_inference_can_be_cancelled(server: Server, slow: Inference) -> None:
    wait_until_it_encodes(server)
    waiting = Inference(server, "alpha")
    wait_until(lambda: [job["stage"] for job in progress(server)] == ["encoding", "waiting"])
    requests.delete(f"{server.url}/zeus/infer/alpha", timeout=10)
    assert waiting.ended().status_code == 409
    assert progress(server)[0]["study"] == "slow"


def test_cancelling_an_inference_that_does_not_run_gives_a_404(server: Server) -> None:
    assert requests.delete(f"{server.url}/zeus/infer/charlie", timeout=10).status_code == 404


def test_at_first_nothing_runs_and_no_training_is_shown(server: Server) -> None:
    state = requests.get(f"{server.url}/zeus/progress", timeout=10).json()
    assert state == {"inference": [], "preparing": [], "training": {"running": False}}
