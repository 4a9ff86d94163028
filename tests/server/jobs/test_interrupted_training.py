"""A training that is killed, or stopped with its server, keeps its finished epochs."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from monailabel.client import MONAILabelClient

from tests.server import running
from tests.server.conftest import lesion_file, make_study
from tests.waiting import wait_until
from zeus_app.training.checkpoint import Checkpoints

TRAINING_S = 120  # a training process needs 15 s to start
POLL_S = 0.1  # the server works for each poll, on the cores that train
RECIPE = {"time_budget_s": 20, "batch_slices": 2, "validation_fraction": 0}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    """A server of a U-Net, which the same loop trains without frozen towers."""
    folder = tmp_path_factory.mktemp("interrupted")
    make_study(folder / "studies", "alpha", 0)
    conf = {"target": "phantom", "model": "unet", "fusion": "early", "device": "cpu"}
    started = running.start(folder / "studies", folder / "state", conf, fake=False)
    yield started
    running.stop(started)


def progress(server: running.Server) -> dict[str, Any]:
    state: dict[str, Any] = requests.get(f"{server.url}/zeus/progress", timeout=60).json()
    return dict(state["training"])


def train(server: running.Server, **params: object) -> None:
    url, recipe = f"{server.url}/train/unet", {**RECIPE, **params}
    requests.post(url, json=recipe, timeout=60).raise_for_status()


def trains(server: running.Server) -> bool:
    params = {"check_if_running": True}
    return bool(requests.get(f"{server.url}/train/", params=params, timeout=60).ok)


def wait_until_it_trains(server: running.Server) -> None:
    def trains_its_third_epoch() -> bool:
        training = progress(server)
        return training.get("done", 0) >= 2 and bool(training["running"])

    wait_until(trains_its_third_epoch, timeout_s=TRAINING_S, poll_s=POLL_S)


def serve(server: running.Server, version: str) -> requests.Response:
    return requests.post(f"{server.url}/zeus/checkpoints/{version}/serve", timeout=60)


@pytest.mark.slow
def test_a_killed_training_keeps_its_epochs_is_served_on_request_and_is_resumed(
    server: running.Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    client.save_label("alpha", str(lesion_file(tmp_path / "label.nii.gz")))
    assert serve(server, "running").status_code == 404
    train(server)
    wait_until_it_trains(server)
    requests.delete(f"{server.url}/train", timeout=60).raise_for_status()
    wait_until(lambda: not progress(server)["running"], poll_s=POLL_S)

    assert requests.get(f"{server.url}/zeus/checkpoints", timeout=60).json()["checkpoints"] == []
    assert "final" in client.datastore()["objects"]["alpha"]["labels"]
    assert client.infer("unet", "alpha", {})[1]["untrained"] is True
    (path,) = server.state.rglob("running.pt")
    interrupted = Checkpoints.read(path)["epochs"]

    assert serve(server, "running").json() == {"served": "v0001"}
    assert client.infer("unet", "alpha", {})[1]["checkpoint"] == "v0001"

    train(server)
    wait_until(
        lambda: client.info()["train_stats"]["unet"]["checkpoint"] == "v0002",
        timeout_s=TRAINING_S,
        poll_s=POLL_S,
    )
    listed = requests.get(f"{server.url}/zeus/checkpoints", timeout=60).json()["checkpoints"]
    # The seconds of an epoch are never the same twice: these epochs were not trained again.
    assert listed[1]["epochs"][: len(interrupted)] == interrupted
    assert len(listed[1]["epochs"]) > len(interrupted)


@pytest.mark.slow
def test_a_server_that_is_interrupted_ends_its_training(
    server: running.Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    client.save_label("alpha", str(lesion_file(tmp_path / "label.nii.gz")))
    wait_until(lambda: not trains(server), poll_s=POLL_S)  # another test's process ends last
    train(server, time_budget_s=600)
    wait_until_it_trains(server)
    (training,) = psutil.Process(server.process.pid).children()
    server.process.send_signal(signal.SIGINT)
    server.process.wait(timeout=TRAINING_S)
    training.wait(timeout=TRAINING_S)
