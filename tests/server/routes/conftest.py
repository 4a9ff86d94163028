"""Files on the shared server that no refused request may change."""

from pathlib import Path

import pytest
import requests
import torch

from tests.server.conftest import lesion_file
from tests.server.running import Server
from zeus_app.training.checkpoint import CheckpointInfo, Checkpoints


@pytest.fixture(scope="session")
def stored_files(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, bytes]:
    """Path -> bytes of the files of a label and a checkpoint that exist before the tests."""
    label = lesion_file(tmp_path_factory.mktemp("kept") / "label.nii.gz")
    with label.open("rb") as file:
        requests.put(
            f"{server.url}/datastore/label", params={"image": "slow", "tag": "kept"},
            files={"label": (label.name, file)}, timeout=60,
        ).raise_for_status()  # fmt: skip
    state = server.state / "phantom"
    checkpoints = Checkpoints(state / "reference-small-zeus-hybrid-readout" / "checkpoints")
    info = CheckpointInfo("", "", 1, None, ("slow",), (), {})
    checkpoints.publish({"threshold": torch.tensor(500.0)}, info)
    checkpoints.serve("untrained")
    files = [*(state / "labels" / "kept" / "slow").iterdir(), *checkpoints.folder.iterdir()]
    assert len(files) >= 5
    return {path: path.read_bytes() for path in files}
