"""Stock routes that Zeus does not have answer with the reason."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from zeus_app.server.routes.refused import refused_routes


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/proxy/http://evil.example/", 404, "no such address"),
        ("DELETE", "/proxy/dicom/wado/studies/1.2", 404, "no such address"),
        ("PUT", "/model/zeus", 404, "/zeus/checkpoints"),
        ("GET", "/model/info/zeus", 404, "/zeus/checkpoints"),
        ("DELETE", "/model/..", 404, ""),
        ("POST", "/reload", 410, "is gone"),
    ],
)
def test_the_reason_is_told(method: str, path: str, status: int, reason: str) -> None:
    server = FastAPI()
    server.include_router(refused_routes())
    answer = TestClient(server).request(method, path)
    assert answer.status_code == status
    assert reason in answer.json()["detail"]
