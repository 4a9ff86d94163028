"""A training is stopped, by MONAI Label's SIGKILL or with its server, and nothing is lost."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from monailabel.client import MONAILabelClient

from tests.server import running
from tests.server.conftest import lesion_file, make_study
from zeus_app.training.checkpoint import Checkpoints

RECIPE = {"time_budget_s": 8, "batch_slices": 2, "validation_fraction": 0}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    """A U-Net, for it is trained by the same loop and needs no frozen towers."""
    folder = tmp_path_factory.mktemp("interrupted")
    make_study(folder / "studies", "alpha", 0)
    conf = {"target": "phantom", "model": "unet", "fusion": "early", "device": "cpu"}
    started = running.start(folder / "studies", folder / "state", conf, fake=False)
    yield started
    running.stop(started)


def wait_until(condition: Callable[[], bool], *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def progress(server: running.Server) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{server.url}/zeus/progress", timeout=60).json()
    return found["training"]


def train(server: running.Server, **params: object) -> None:
    url, recipe = f"{server.url}/train/unet", {**RECIPE, **params}
    requests.post(url, json=recipe, timeout=60).raise_for_status()


def trains(server: running.Server) -> bool:
    asked = {"check_if_running": True}
    return requests.get(f"{server.url}/train/", params=asked, timeout=60).ok


def serve(server: running.Server, version: str) -> requests.Response:
    return requests.post(f"{server.url}/zeus/checkpoints/{version}/serve", timeout=60)


@pytest.mark.slow
def test_a_killed_training_keeps_its_epochs_serves_on_request_and_is_gone_on_with(
    server: running.Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    client.save_label("alpha", str(lesion_file(tmp_path / "label.nii.gz")))
    assert serve(server, "running").status_code == 404
    train(server)
    wait_until(lambda: progress(server).get("done", 0) >= 2 and progress(server)["running"])
    requests.delete(f"{server.url}/train", timeout=60).raise_for_status()
    wait_until(lambda: not progress(server)["running"])

    assert requests.get(f"{server.url}/zeus/checkpoints", timeout=60).json()["checkpoints"] == []
    assert "final" in client.datastore()["objects"]["alpha"]["labels"]
    assert client.infer("unet", "alpha", {})[1]["untrained"] is True
    (path,) = server.state.rglob("running.pt")
    interrupted = Checkpoints.read(path)["epochs"]

    assert serve(server, "running").json() == {"served": "v0001"}
    assert client.infer("unet", "alpha", {})[1]["checkpoint"] == "v0001"

    train(server)
    wait_until(lambda: client.info()["train_stats"]["unet"]["checkpoint"] == "v0002")
    listed = requests.get(f"{server.url}/zeus/checkpoints", timeout=60).json()["checkpoints"]
    # The seconds of an epoch are never the same twice: these epochs were not trained again.
    assert listed[1]["epochs"][: len(interrupted)] == interrupted
    assert len(listed[1]["epochs"]) > len(interrupted)


@pytest.mark.slow
def test_a_server_that_is_told_to_end_takes_its_training_with_it(
    server: running.Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    client.save_label("alpha", str(lesion_file(tmp_path / "label.nii.gz")))
    wait_until(lambda: not trains(server))  # another test's process ends after its checkpoint
    train(server, time_budget_s=600)
    wait_until(lambda: progress(server).get("done", 0) >= 2 and progress(server)["running"])
    (training,) = psutil.Process(server.process.pid).children()
    server.process.send_signal(signal.SIGINT)
    server.process.wait(timeout=20)
    training.wait(timeout=5)
