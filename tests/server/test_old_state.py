"""A server starts on the state that commit 2ea7737 wrote, see tests/storage/old_state."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.server.conftest import serving
from tests.server.running import Server

ARCHIVE = Path(__file__).parents[1] / "storage" / "old_state" / "state_of_2ea7737.zip"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    yield from serving(tmp_path / "studies", tmp_path / "state")


def test_a_server_goes_on_where_the_old_one_stopped(server: Server) -> None:
    def get(address: str) -> Any:
        return requests.get(f"{server.url}{address}", timeout=60).json()

    assert get("/zeus/checkpoints")["served"] == "v0001"
    assert get("/zeus/clicks/alpha?user=ann")["steps"] == 2
    assert len(get("/zeus/labels/alpha")["versions"]) == 2
    assert get("/zeus/originals/charlie")["checkpoint"] == "v0001"
    answer = requests.post(
        f"{server.url}/infer/zeus", params={"image": "dora", "output": "json"}, timeout=60
    )
    assert answer.json()["checkpoint"] == "v0001"
