"""The guards stand before a real server, and before MONAI Label's own routes."""

import pytest
import requests

from tests.server.running import Server

ROUTES = ("/info/", "/datastore/?output=all", "/zeus/studies", "/logs/", "/ohif/", "/docs", "/")


@pytest.mark.parametrize("route", ROUTES)
def test_no_route_can_be_read_by_a_foreign_page(server: Server, route: str) -> None:
    answer = requests.get(
        f"{server.url}{route}", headers={"Origin": "http://evil.example"}, timeout=60
    )
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("route", ROUTES)
def test_every_answer_has_headers_for_browsers(server: Server, route: str) -> None:
    answer = requests.get(f"{server.url}{route}", timeout=60)
    assert answer.status_code == 200
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize("route", ROUTES)
def test_no_route_answers_for_a_foreign_host(server: Server, route: str) -> None:
    answer = requests.get(
        f"{server.url}{route}", headers={"Host": "evil.example"}, timeout=60, allow_redirects=False
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("PUT", "/session/"), ("PUT", "/datastore/image"), ("POST", "/scoring/dice"),
        ("POST", "/batch/infer/zeus"), ("POST", "/train/zeus"), ("DELETE", "/datastore/label"),
        ("POST", "/activelearning/first"), ("DELETE", "/train/"), ("OPTIONS", "/datastore/label"),
    ],
)  # fmt: skip
def test_a_foreign_page_changes_nothing(server: Server, method: str, route: str) -> None:
    answer = requests.request(
        method, f"{server.url}{route}", headers={"Origin": "null"}, timeout=60
    )
    assert answer.status_code == 403


def test_a_line_of_a_request_starts_no_line_of_the_log(server: Server) -> None:
    requests.get(f"{server.url}/zeus/labels/a%0AFORGED%20line", timeout=60)
    lines = requests.get(f"{server.url}/logs/?lines=0", timeout=60).text.splitlines()
    assert any("FORGED" in line for line in lines)
    assert not any(line.startswith("FORGED") for line in lines)


def test_the_log_lies_in_the_state_folder(server: Server) -> None:
    port = server.url.rsplit(":", 1)[1]
    log = server.state / "logs" / f"server-{port}.log"
    assert "state in" in log.read_text()
    assert requests.get(f"{server.url}/logs/?lines=0", timeout=60).text in log.read_text()


def test_a_page_of_the_viewer_has_its_icons(server: Server) -> None:
    page = requests.get(f"{server.url}/ohif/", timeout=60)
    assert "<html" in page.text.lower()
    assert "'unsafe-eval'" in page.headers["content-security-policy"]
