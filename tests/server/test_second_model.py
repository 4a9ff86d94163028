"""Networks to compare with are trained and served over the same routes as Zeus."""

from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import pytest
import requests
from monailabel.client import MONAILabelClient

from tests.server import running
from tests.server.conftest import lesion_file, make_study


@pytest.fixture(scope="module", params=[("unet", "early"), ("unext", "hybrid")], ids="-".join)
def network(request: pytest.FixtureRequest) -> tuple[str, str]:
    name, fusion = request.param
    return name, fusion


@pytest.fixture(scope="module")
def server(
    network: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[running.Server]:
    folder = tmp_path_factory.mktemp("network")
    for seed, study in enumerate(("alpha", "charlie")):
        make_study(folder / "studies", study, seed)
    name, fusion = network
    conf = {"target": "phantom", "model": name, "fusion": fusion, "device": "cpu"}
    started = running.start(folder / "studies", folder / "state", conf, fake=False)
    yield started
    running.stop(started)


@pytest.mark.slow
def test_a_network_is_trained_and_served_by_the_same_routes(
    network: tuple[str, str], server: running.Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    name = network[0]
    assert list(client.info()["models"]) == [name, "clicks", "clicks_3d", "edit", "scribbles"]
    _, params = client.infer(name, "charlie", {})
    assert params["untrained"] is True
    client.save_label("alpha", str(lesion_file(tmp_path / "label.nii.gz")))
    trained = requests.post(
        f"{server.url}/train/{name}?run_sync=true", json={"epochs": 1}, timeout=240
    )
    assert trained.status_code == 200, trained.text
    assert trained.json()["checkpoint"]["prepare_seconds"] > 0
    mask, params = client.infer(name, "charlie", {})
    assert params["model"] == name
    assert params["checkpoint"] == "v0001"
    assert nib.load(mask).shape == (24, 20, 6)
