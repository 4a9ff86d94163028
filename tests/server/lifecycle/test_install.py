"""MONAI Label's own server becomes Zeus: its open doors close, and its routes are replaced."""

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import monailabel.app
import pytest
from fastapi.testclient import TestClient
from monailabel.config import settings

from zeus_app.server.lifecycle import install as module
from zeus_app.settings.config import ZeusConfig

URL = "http://127.0.0.1:8000"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """MONAI Label's FastAPI application after the installation, without a model."""
    state = SimpleNamespace(root=tmp_path / "state")
    context = SimpleNamespace(state=state, config=ZeusConfig())
    app: Any = SimpleNamespace(context=context)
    monkeypatch.setattr(module, "keep_priority", lambda: None)
    monkeypatch.setattr(settings, "MONAI_LABEL_STUDIES", str(tmp_path / "studies"))
    server = importlib.reload(monailabel.app).app
    log = tmp_path / "server.log"
    log.write_text("a line\n")
    module.install(server, lambda: app, log=log)
    return TestClient(server, base_url=URL, raise_server_exceptions=False)


def test_no_foreign_page_is_answered(client: TestClient) -> None:
    evil = {"Origin": "http://evil.example", "Access-Control-Request-Method": "PUT"}
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
        answer = client.request(method, "/openapi.json", headers=evil)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


def test_a_redirect_leads_to_no_foreign_host(client: TestClient) -> None:
    answer = client.get("/info", headers={"Host": "evil.example"}, follow_redirects=False)
    assert answer.status_code == 403
    own = client.get("/info", follow_redirects=False)
    assert own.headers["location"].startswith(URL)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ohif/..", 200),
        ("GET", "/ohif/%2e%2e", 200),
        ("GET", "/logs/?lines=99999999999999999999999999", 422),
        ("PUT", "/model/zeus", 404),
        ("HEAD", "/datastore/image?image=a&check_sum=FOO:x", 400),
        ("GET", "/session/x?image=true", 404),
        ("GET", "/proxy/dicom/qido/patients", 404),
        ("GET", "/proxy/http://127.0.0.1:9/", 404),
        ("POST", "/reload", 410),
    ],
)
def test_a_stock_route_that_failed_answers_with_a_reason(
    client: TestClient, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_log_is_this_server_s(client: TestClient) -> None:
    assert client.get("/logs/?text=true").text == "a line\n"


def test_a_fault_of_a_stock_route_has_a_number_and_headers(client: TestClient) -> None:
    answer = client.get("/info/")  # without a MONAI Label app
    assert answer.status_code == 500
    assert "number" in answer.json()["detail"]
    assert answer.headers["x-content-type-options"] == "nosniff"
