"""Learning after each case over HTTP: a real server, a U-Net, and its worker process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from monailabel.client import MONAILabelClient

from tests.server import running
from tests.server.conftest import affine, make_tall_study, save, tall_lesion
from tests.waiting import wait_until

pytestmark = pytest.mark.slow
LEARNING_S = 180  # the worker needs 15 s to start, and longer on a busy machine
UNET = {"target": "phantom", "model": "unet", "fusion": "early", "device": "cpu", "learn_s": "0.2"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    """A server that serves what it learns."""
    yield from serving(tmp_path_factory.mktemp("learning"), "on")


def serving(folder: Path, learn: str) -> Iterator[running.Server]:
    for seed, study in enumerate(("alpha", "bravo")):
        make_tall_study(folder / "studies", study, seed)
    conf = {**UNET, "learn": learn}
    started = running.start(folder / "studies", folder / "state", conf, fake=False)
    yield started
    running.stop(started)


def get(server: running.Server, path: str) -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(f"{server.url}/zeus/{path}", timeout=60).json()
    return answer


def label_file(folder: Path) -> Path:
    return save(folder / "label.nii.gz", tall_lesion(), affine())


def results(server: running.Server) -> list[dict[str, Any]]:
    newest_first: list[dict[str, Any]] = get(server, "learning")["results"]
    return newest_first


def worker_of(server: running.Server) -> psutil.Process:
    (worker,) = [
        child
        for child in psutil.Process(server.process.pid).children()
        if "zeus_app.server.jobs.learning_worker" in child.cmdline()
    ]
    return worker


def test_a_submitted_label_becomes_a_served_version(
    server: running.Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    wait_until(lambda: get(server, "learning")["state"] == "idle", timeout_s=LEARNING_S)
    client.save_label("alpha", str(label_file(tmp_path)))
    wait_until(lambda: results(server), timeout_s=LEARNING_S)
    (result,) = results(server)
    assert (result["study"], result["decision"], result["version"]) == ("alpha", "served", "v0001")
    assert result["score_after"] >= result["score_before"] - 0.005
    assert get(server, "checkpoints")["served"] == "v0001"
    assert client.infer("unet", "bravo", {})[1]["checkpoint"] == "v0001"


def test_a_label_of_another_tag_is_not_learnt_from(
    server: running.Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    before = results(server)
    client.save_label("alpha", str(label_file(tmp_path)), tag="draft")
    learning = get(server, "learning")
    assert (learning["queue"], learning["study"], learning["results"]) == ([], "", before)


def test_a_dead_worker_is_replaced_and_no_label_is_lost(
    server: running.Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    before, worker = len(results(server)), worker_of(server)
    worker.kill()
    client.save_label("bravo", str(label_file(tmp_path)))
    wait_until(lambda: len(results(server)) == before + 1, timeout_s=LEARNING_S)
    assert results(server)[0]["decision"] in ("served", "worse")
    assert worker_of(server).pid != worker.pid


def test_the_worker_ends_with_a_killed_server_and_a_version_waits_where_the_user_is_asked(
    tmp_path: Path,
) -> None:
    asking = serving(tmp_path, "ask")
    server = next(asking)
    client = MONAILabelClient(server.url, tmpdir=str(tmp_path))
    client.save_label("alpha", str(label_file(tmp_path)))
    wait_until(lambda: results(server), timeout_s=LEARNING_S)
    (result,) = results(server)
    assert (result["decision"], result["version"], result["served"]) == ("stored", "v0001", False)
    assert get(server, "checkpoints")["served"] == "untrained"
    serve = requests.post(f"{server.url}/zeus/checkpoints/v0001/serve", timeout=60)
    assert serve.json() == {"served": "v0001"}

    worker = worker_of(server)
    server.process.kill()
    server.process.wait()
    wait_until(lambda: not worker.is_running())
