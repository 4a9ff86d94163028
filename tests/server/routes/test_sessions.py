"""A session is found by its id alone, and shows no file but its own."""

import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from monailabel.utils.sessions import Sessions

from zeus_app.server.routes.sessions import session_routes
from zeus_app.server.security.faults import Faults


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(str(tmp_path / "sessions"))


@pytest.fixture
def client(sessions: Sessions) -> TestClient:
    app: Any = SimpleNamespace(sessions=lambda: sessions)
    server = FastAPI()
    server.include_router(session_routes(lambda: app))
    Faults({}).install(server)
    return TestClient(server)


def lent(sessions: Sessions, path: Path) -> str:
    session, _ = sessions.add_session(str(path))
    return str(session)


def test_the_file_of_a_session_can_be_fetched(
    client: TestClient, sessions: Sessions, tmp_path: Path
) -> None:
    (tmp_path / "t2.nii.gz").write_bytes(b"voxels")
    session = lent(sessions, tmp_path / "t2.nii.gz")
    assert client.get(f"/session/{session}").json()["name"] == session
    assert client.get(f"/session/{session}?image=true").content == b"voxels"
    assert client.delete(f"/session/{session}").status_code == 200
    assert client.get(f"/session/{session}").status_code == 404


def test_a_session_of_several_files_has_no_single_file(
    client: TestClient, sessions: Sessions, tmp_path: Path
) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "t2.nii.gz").write_bytes(b"voxels")
    session = lent(sessions, tmp_path / "study")
    answer = client.get(f"/session/{session}?image=true")
    assert answer.status_code == 400
    assert "several files" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["x", "%2e%2e", ".", "a%00b", "a" * 5000, str(uuid.uuid4())])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_another_id_names_no_session(client: TestClient, method: str, name: str) -> None:
    assert client.request(method, f"/session/{name}").status_code in (404, 405)


def test_a_session_that_names_a_file_elsewhere_is_unknown(
    client: TestClient, sessions: Sessions, tmp_path: Path
) -> None:
    (tmp_path / "t2.nii.gz").write_bytes(b"voxels")
    session = lent(sessions, tmp_path / "t2.nii.gz")
    (tmp_path / "secret").write_text("secret")
    sessions[session].image = str(tmp_path / "secret")
    answer = client.get(f"/session/{session}?image=true")
    assert answer.status_code == 404
    assert "secret" not in answer.text
