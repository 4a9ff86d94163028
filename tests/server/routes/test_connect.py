"""A stock client that connects, or asks for the next study, finds what was copied in meanwhile."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from monailabel.client import MONAILabelClient

from tests.server.conftest import make_study, serving
from tests.server.running import Server


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a studies folder that changes."""
    folder = tmp_path_factory.mktemp("growing")
    make_study(folder / "studies", "alpha", 1)
    yield from serving(folder / "studies", folder / "state")


@pytest.fixture
def client(growing: Server, tmp_path: Path) -> MONAILabelClient:
    return MONAILabelClient(growing.url, tmpdir=str(tmp_path))


def test_a_client_that_connects_finds_a_new_study(
    growing: Server, client: MONAILabelClient
) -> None:
    make_study(growing.studies, "bravo", 2)
    assert client.info()["datastore"]["total"] == 2
    assert "Zeus: new studies: bravo" in growing.log_text()
    shutil.rmtree(growing.studies / "bravo")
    assert client.info()["datastore"]["total"] == 1


def test_a_client_that_lists_the_studies_finds_a_new_one(
    growing: Server, client: MONAILabelClient
) -> None:
    make_study(growing.studies, "charlie", 3)
    assert set(client.datastore()["objects"]) == {"alpha", "charlie"}
    address = f"{growing.url}/datastore/"
    assert requests.get(address, timeout=60).json()["total"] == 2
    assert requests.get(address, params={"output": "train"}, timeout=60).json() == []
    assert requests.get(address, params={"output": "else"}, timeout=60).status_code == 422
    assert set(requests.get(f"{growing.url}/zeus/studies", timeout=60).json()["studies"]) == {
        "alpha", "charlie",
    }  # fmt: skip
    shutil.rmtree(growing.studies / "charlie")


def test_the_next_sample_may_be_a_new_study(growing: Server, client: MONAILabelClient) -> None:
    make_study(growing.studies, "aaa", 4)  # the strategy takes the first
    assert client.next_sample("first", {})["id"] == "aaa"
