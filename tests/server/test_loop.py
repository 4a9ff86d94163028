"""The loop on one server, in this order: next study, infer, submit, train, infer again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import psutil
import pytest
import requests
from monailabel.client import MONAILabelClient

from tests.server.conftest import LESION, lesion_file, make_study, serving
from tests.server.running import Server
from tests.waiting import wait_until
from zeus_app.types import LabelArray

ENDED = ("DONE", "ERROR")
TASK_S = 120  # a process of its own needs 15 s to start
FLIPS = {"alpha": (1, 1, 1), "bravo": (-1, -1, 1)}


def wait_for_training(client: MONAILabelClient) -> dict[str, Any]:
    wait_until(lambda: client.train_status()["status"] in ENDED, timeout_s=TASK_S, poll_s=0.2)
    status: dict[str, Any] = client.train_status()
    return status


def train_in_the_server(server: Server, **params: object) -> requests.Response:
    """Train in the server's process; a process of its own takes 15 s to start."""
    address = f"{server.url}/train/zeus?run_sync=true"
    return requests.post(address, json={"epochs": 2, **params}, timeout=60)


def predicted_labels(client: MONAILabelClient, study: str) -> LabelArray:
    file, _ = client.infer("zeus", study, {})
    return np.asarray(nib.load(file).dataobj, np.uint8)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a state of its own and without unusable studies."""
    folder = tmp_path_factory.mktemp("loop")
    for seed, study in enumerate(("alpha", "bravo", "charlie")):
        make_study(folder / "studies", study, seed, FLIPS.get(study, (1, 1, 1)))
    yield from serving(folder / "studies", folder / "state")


@pytest.fixture(scope="module")
def trained(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Status of a training with two labels, after untrained answers to their studies."""
    folder = tmp_path_factory.mktemp("labels")
    client = MONAILabelClient(server.url, tmpdir=str(folder))
    for study, flip in FLIPS.items():
        assert predicted_labels(client, study).max() == 0
        client.save_label(study, str(lesion_file(folder / f"{study}.nii.gz", flip)))
    stock = {"device": "cpu", "name": "x", "pretrained": True, "multi_gpu": False}
    client.train_start("zeus", {"max_epochs": 2, **stock})
    return wait_for_training(client)


def test_first_gives_the_first_study_with_the_fields_that_slicer_needs(
    client: MONAILabelClient,
) -> None:
    sample = client.next_sample("first", {})
    assert sample["id"] == "alpha"
    assert sample["name"] == "alpha.nii.gz"


def test_random_gives_a_listed_study_each_time(client: MONAILabelClient) -> None:
    for _ in range(5):
        assert client.next_sample("random", {})["id"] in client.datastore()["objects"]


def test_next_starts_no_process(server: Server, client: MONAILabelClient) -> None:
    client.next_sample("first", {})
    assert psutil.Process(server.process.pid).children() == []


def test_a_training_succeeds_and_shows_its_epochs(trained: dict[str, Any]) -> None:
    assert trained["status"] == "DONE", trained
    lines = "\n".join(trained["details"])
    assert "epoch 2/2, loss 0.5000, validation DSC 0.5000" in lines


def test_a_training_has_a_lower_cpu_priority_than_the_server(
    server: Server, trained: dict[str, Any]
) -> None:
    lines = "\n".join(trained["details"])
    server_niceness = psutil.Process(server.process.pid).nice()
    assert f"niceness {min(19, server_niceness + 10)}\n" in lines


def test_the_next_inference_uses_the_new_checkpoint_without_a_restart(
    client: MONAILabelClient, trained: dict[str, Any]
) -> None:
    file, params = client.infer("zeus", "charlie", {})
    assert params["checkpoint"] == "v0001"
    assert params["untrained"] is False
    mask = np.asarray(nib.load(file).dataobj)
    expected = np.zeros_like(mask)
    expected[LESION] = 1
    assert (mask == expected).all()


def test_info_shows_the_served_checkpoint(
    client: MONAILabelClient, trained: dict[str, Any]
) -> None:
    stats = client.info()["train_stats"]["zeus"]
    assert stats["checkpoint"] == "v0001"
    assert stats["best_metric"] == 0.5


def test_progress_shows_the_last_training(server: Server, trained: dict[str, Any]) -> None:
    training = requests.get(f"{server.url}/zeus/progress", timeout=60).json()["training"]
    assert training["running"] is False
    assert training["done"] == 2
    assert training["total"] == 2
    assert training["prepare_seconds"] >= 0


def test_scoring_counts_untrained_answers_to_studies_that_were_labelled_later(
    server: Server, client: MONAILabelClient, trained: dict[str, Any]
) -> None:
    result = requests.post(f"{server.url}/scoring/dice?run_sync=true", timeout=60).json()
    # The answers to alpha and bravo were empty and made before any training. An empty answer
    # misses the lesion (DSC 0); neither it nor the label shows a cyst (DSC 1).
    assert result["studies"]["alpha"]["dice"] == 0.5
    assert result["studies"]["alpha"]["labels"]["lesion"]["dice"] == 0
    info = f"{server.url}/datastore/label/info?label=alpha&tag=final"
    assert requests.get(info, timeout=60).json()["score"]["dice"] == 0.5


def test_scoring_skips_answers_to_studies_that_the_checkpoint_was_trained_on(
    server: Server, client: MONAILabelClient, trained: dict[str, Any], tmp_path: Path
) -> None:
    client.infer("zeus", "alpha", {})
    client.infer("zeus", "charlie", {})
    client.save_label("charlie", str(lesion_file(tmp_path / "c.nii.gz")))
    result = requests.post(f"{server.url}/scoring/dice?run_sync=true", timeout=60).json()
    assert result["studies"]["charlie"]["dice"] == 1.0
    # v0001 was trained on alpha, so the untrained one of its two answers still counts.
    assert result["studies"]["alpha"]["checkpoint"] == "untrained"


def test_scoring_runs_as_a_task_on_request(server: Server, client: MONAILabelClient) -> None:
    requests.post(f"{server.url}/scoring/dice", json={}, timeout=60).raise_for_status()

    def status() -> str:
        return str(requests.get(f"{server.url}/scoring/", timeout=60).json()["status"])

    wait_until(lambda: status() in ENDED, timeout_s=TASK_S, poll_s=0.2)
    assert status() == "DONE"


def test_a_second_training_makes_a_second_version_and_the_first_can_be_served_again(
    server: Server, client: MONAILabelClient, trained: dict[str, Any]
) -> None:
    assert train_in_the_server(server).json()["checkpoint"]["version"] == "v0002"
    listed = requests.get(f"{server.url}/zeus/checkpoints", timeout=60).json()
    assert [checkpoint["version"] for checkpoint in listed["checkpoints"]] == ["v0001", "v0002"]
    assert listed["served"] == "v0002"
    serve = f"{server.url}/zeus/checkpoints/v0001/serve"
    requests.post(serve, timeout=60).raise_for_status()
    assert client.infer("zeus", "charlie", {})[1]["checkpoint"] == "v0001"


def test_a_training_that_fails_says_why(server: Server, trained: dict[str, Any]) -> None:
    response = train_in_the_server(server, seed=13)
    assert response.status_code == 400
    assert "an unlucky seed" in response.json()["detail"]


@pytest.mark.parametrize("strategy", ["first", "random"])
def test_when_all_are_labelled_next_gives_an_empty_answer(
    client: MONAILabelClient, trained: dict[str, Any], tmp_path: Path, strategy: str
) -> None:
    for study in client.datastore()["objects"]:
        flip = FLIPS.get(study, (1, 1, 1))
        client.save_label(study, str(lesion_file(tmp_path / f"{study}.nii.gz", flip)))
    assert client.next_sample(strategy, {}) == {}
