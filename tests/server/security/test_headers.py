"""Each answer tells browsers what it may do."""

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi.testclient import TestClient

from zeus_app.server.security.headers import SecurityHeaders, headers_of


def policy_of(path: str, *, is_page: bool = False) -> str:
    return headers_of(path, is_page=is_page)["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/ohif/", "/ohif/viewer", "/info/", "/zeus/studies"]
)
@pytest.mark.parametrize("is_page", [True, False])
def test_every_answer_forbids_guessing_its_type_and_foreign_frames(
    path: str, is_page: bool
) -> None:
    headers = headers_of(path, is_page=is_page)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "same-origin"
    policy = headers["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in policy or "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("path", ["/info/", "/datastore/image", "/ohifx", "/zeus/labels/docs"])
def test_data_runs_no_script_and_stays_in_no_cache(path: str) -> None:
    assert policy_of(path).startswith("default-src 'none'; frame-ancestors 'none'")
    assert headers_of(path, is_page=False)["Cache-Control"] == "no-store"


def test_a_page_of_zeus_runs_scripts_of_its_own_server_alone() -> None:
    policy = policy_of("/zeus/page", is_page=True)
    assert "script-src 'self';" in policy
    assert "form-action 'self'" in policy


@pytest.mark.parametrize("path", ["/ohif/viewer", "/static/ohif/index.html"])
def test_the_viewer_may_use_webassembly_and_workers(path: str) -> None:
    policy = policy_of(path, is_page=True)
    assert "'unsafe-eval'" in policy  # allows WebAssembly too
    assert "worker-src 'self' blob:" in policy
    assert "http" not in policy  # no other server


def test_a_page_may_bring_a_policy_of_its_own() -> None:
    server = FastAPI()

    @server.get("/zeus/page")
    def page() -> HTMLResponse:
        return HTMLResponse("", headers={"Content-Security-Policy": "sandbox"})

    server.add_middleware(SecurityHeaders)
    client = TestClient(server)
    assert client.get("/zeus/page").headers["content-security-policy"] == "sandbox"
    assert "default-src 'none'" in client.get("/missing").headers["content-security-policy"]
