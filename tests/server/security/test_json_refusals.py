"""A refusal in plain text becomes JSON; every other answer stays."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi.testclient import TestClient

from zeus_app.server.security.json_refusals import JsonRefusals


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    (tmp_path / "t2.nii").write_bytes(b"0123456789")
    server = FastAPI()

    @server.get("/file")
    def file() -> FileResponse:
        return FileResponse(tmp_path / "t2.nii")

    @server.get("/log")
    def log() -> PlainTextResponse:
        return PlainTextResponse("a line")

    server.add_middleware(JsonRefusals)
    return TestClient(server)


@pytest.mark.parametrize(
    ("span", "status", "reason"),
    [
        ("bytes=a-b", 400, "Range header"),
        ("x", 400, "Malformed range header"),
        ("bytes=5000-", 416, "Range Not Satisfiable"),  # Starlette answers without a text
    ],
)
def test_a_range_that_a_file_does_not_have_is_refused_with_a_reason(
    client: TestClient, span: str, status: int, reason: str
) -> None:
    answer = client.get("/file", headers={"Range": span})
    assert answer.status_code == status
    assert reason.lower() in answer.json()["detail"].lower()


def test_a_refused_range_tells_the_length_of_the_file(client: TestClient) -> None:
    answer = client.get("/file", headers={"Range": "bytes=5000-"})
    assert "10" in answer.headers["content-range"]


def test_a_range_of_a_file_is_its_bytes(client: TestClient) -> None:
    assert client.get("/file", headers={"Range": "bytes=2-4"}).content == b"234"


def test_plain_text_that_is_no_refusal_stays(client: TestClient) -> None:
    assert client.get("/log").text == "a line"


def test_a_refusal_in_json_stays(client: TestClient) -> None:
    assert client.get("/nowhere").json() == {"detail": "Not Found"}
