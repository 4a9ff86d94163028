"""A request that fails gets a reason, and learns nothing about the machine."""

import errno
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient

from zeus_app.errors import BusyError, InputError
from zeus_app.server.security.faults import Faults
from zeus_app.server.security.headers import SecurityHeaders

ERRORS: dict[str, Exception] = {
    "input": InputError("/state/x.nii", expected="a file", remedy="send it"),
    "full": OSError(errno.ENOSPC, "No space left on device", "/state/labels/v0001.nii.gz"),
    "readonly": OSError(errno.EROFS, "Read-only file system", "/state/labels"),
    "long": OSError(errno.ENAMETOOLONG, "File name too long", "/state/aaa"),
    "many": OSError(errno.EMFILE, "Too many open files"),
    "memory": MemoryError(),
    "gpu": torch.OutOfMemoryError("CUDA out of memory"),
    "surrogate": UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    "fault": RuntimeError("/state/secret of patient Müller"),
    "unknown file": FileNotFoundError(errno.ENOENT, "No such file", "/state/secret"),
    "busy": BusyError("three inferences wait", retry_after_s=5),
    "stock": HTTPException(404, "/state/app.log NOT Found", {"X-Hint": "1"}),
    "stock text": HTTPException(400, "\ud800"),
    "unchanged": HTTPException(304),
}
# FastAPI's own answer to a disk that the form of an upload fills.
ERRORS["upload"] = HTTPException(400, "There was an error parsing the body")
ERRORS["upload"].__cause__ = ERRORS["full"]
ERRORS["no program"] = HTTPException(404, "no nvidia-smi")
ERRORS["no program"].__cause__ = ERRORS["unknown file"]


@pytest.fixture
def client() -> TestClient:
    server = FastAPI()

    @server.post("/{name}")
    def fail(name: str, number: int = 0) -> None:
        raise ERRORS[name]

    Faults({Path("/state"): "<state>"}).install(server)
    return TestClient(server, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("input", 400, "<state>/x.nii"),
        ("full", 507, "No space left on device"),
        ("upload", 507, "No space left on device"),
        ("no program", 404, "no nvidia-smi"),
        ("readonly", 507, "Read-only file system"),
        ("long", 400, "send a shorter name"),
        ("many", 503, "too many requests"),
        ("memory", 507, "memory"),
        ("gpu", 507, "memory"),
        ("surrogate", 400, "Unicode"),
        ("busy", 503, "three inferences wait"),
        ("stock", 404, "<state>/app.log NOT Found"),
        ("stock text", 400, "\ud800"),
    ],
)
def test_a_request_that_fails_gets_a_reason(
    client: TestClient, name: str, status: int, reason: str
) -> None:
    answer = client.post(f"/{name}")
    assert answer.status_code == status
    assert reason in answer.json()["detail"]
    assert " /state" not in answer.text


def test_an_answer_of_a_stock_route_keeps_its_status_and_headers(client: TestClient) -> None:
    assert client.post("/stock").headers["x-hint"] == "1"
    unchanged = client.post("/unchanged")
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_a_fault_is_answered_within_the_middleware(client: TestClient) -> None:
    """Starlette answers a handler of Exception outside it, where no header is added."""
    client.app.add_middleware(SecurityHeaders)  # type: ignore[attr-defined]
    assert client.post("/fault").headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("/data/state/x.nii cannot be read", "<state>/x.nii cannot be read"),
        ("in /data/state: none", "in <state>: none"),
        ("/data/other.nii", "<data>/other.nii"),
        ("/data/state2/x", "<data>/state2/x"),
        ("/mnt/data/state", "/mnt/data/state"),
        ("http://h/data/state", "http://h/data/state"),
        ("GET /zeus/studies", "GET /zeus/studies"),
    ],
)
def test_folders_of_the_machine_are_named_and_others_stay(text: str, public: str) -> None:
    folders = {Path("/data"): "<data>", Path("/data/state"): "<state>", Path("/"): "<root>"}
    assert Faults(folders).public(text) == public


def test_a_folder_behind_a_link_is_named_by_both_its_paths(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    faults = Faults({tmp_path / "link": "<state>"})
    assert faults.public(f"{tmp_path}/link/a {tmp_path}/real/a") == "<state>/a <state>/a"


def test_a_busy_server_says_when_to_come_again(client: TestClient) -> None:
    assert client.post("/busy").headers["retry-after"] == "5"


@pytest.mark.parametrize("name", ["fault", "unknown file"])
def test_a_fault_of_ours_has_a_number_that_the_log_has_too(
    client: TestClient, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = client.post(f"/{name}")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    number = answer.json()["detail"].split("number ")[1].split(".")[0]
    assert number in caplog.text


def test_a_refusal_does_not_repeat_what_came(client: TestClient) -> None:
    answer = client.post("/input?number=" + "9" * 5000 + "x")
    assert answer.status_code == 422
    assert len(answer.content) < 500


@pytest.mark.parametrize(
    "body", [b'{"number": "\\ud800"}', b'{"\\ud800": 1, "number": "x"}', b'{"number": NaN}',
             b'{"number": 1e999}', b"[" * 100_000, b"9" * 5000, b"\xff", b'"\\ud800"']
)  # fmt: skip
def test_no_body_makes_its_own_refusal_fail(body: bytes) -> None:
    server = FastAPI()

    @server.post("/")
    def take(body: dict[str, int]) -> Any:
        return body

    Faults({}).install(server)
    client = TestClient(server, raise_server_exceptions=False)
    answer = client.post("/", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert len(answer.content) < 1000


def test_an_unknown_page_is_not_found(client: TestClient) -> None:
    assert client.get("/a/b").json() == {"detail": "Not Found"}
