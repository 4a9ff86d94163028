"""The U-Net is trained and served over the same routes as Zeus."""

from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import pytest
import requests
from monailabel.client import MONAILabelClient

from tests.server import running
from tests.server.conftest import lesion_file, make_study


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Server]:
    folder = tmp_path_factory.mktemp("unet")
    for seed, study in enumerate(("alpha", "charlie")):
        make_study(folder / "studies", study, seed)
    conf = {"target": "phantom", "model": "unet", "fusion": "early", "device": "cpu"}
    started = running.start(folder / "studies", folder / "state", conf, fake=False)
    yield started
    running.stop(started)


@pytest.mark.slow
def test_the_u_net_is_trained_and_served_by_the_same_routes(
    server: running.Server, client: MONAILabelClient, tmp_path: Path
) -> None:
    assert list(client.info()["models"]) == ["unet", "clicks", "clicks_3d", "edit", "scribbles"]
    _, params = client.infer("unet", "charlie", {})
    assert params["untrained"] is True
    client.save_label("alpha", str(lesion_file(tmp_path / "label.nii.gz")))
    trained = requests.post(
        f"{server.url}/train/unet?run_sync=true", json={"epochs": 1}, timeout=120
    )
    assert trained.status_code == 200, trained.text
    assert trained.json()["checkpoint"]["prepare_seconds"] > 0
    mask, params = client.infer("unet", "charlie", {})
    assert params["model"] == "unet"
    assert params["checkpoint"] == "v0001"
    assert nib.load(mask).shape == (24, 20, 6)
