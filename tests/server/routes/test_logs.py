"""GET /logs shows this server's log, and fails on no number."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from zeus_app.server.routes.logs import log_routes


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    (tmp_path / "app.log").write_text("one\n<two>\nthree\n")
    server = FastAPI()
    server.include_router(log_routes(tmp_path / "app.log"))
    return TestClient(server)


def test_the_newest_lines_are_text_or_a_page_without_scripts(client: TestClient) -> None:
    assert client.get("/logs/?lines=2&text=true").text == "<two>\nthree\n"
    assert client.get("/logs/?lines=2").text == "<pre>&lt;two&gt;\nthree\n</pre>"
    assert client.get("/logs/?lines=0").text == "one\n<two>\nthree\n"


@pytest.mark.parametrize("lines", ["1e26", "9" * 26, "-1", "9" * 5000, "x"])
def test_another_number_is_refused(client: TestClient, lines: str) -> None:
    assert client.get(f"/logs/?lines={lines}").status_code == 422


def test_a_machine_without_nvidia_smi_says_so(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert client.get("/logs/gpu").status_code == 404
