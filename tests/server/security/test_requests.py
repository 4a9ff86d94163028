"""A server answers its own pages and other programs, and no foreign page or host."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from zeus_app.server.lifecycle.install import guard

VIEWER = "https://viewer.example"


def client_of(
    hosts: tuple[str, ...] = (),
    origins: tuple[str, ...] = (),
    url: str = "http://127.0.0.1:8000",
    local_only: bool = True,
) -> TestClient:
    server = FastAPI()

    @server.get("/")
    @server.put("/")
    @server.post("/")
    @server.delete("/")
    def answer() -> str:
        return "patient"

    guard(server, hosts=hosts, origins=origins, local_only=local_only)
    return TestClient(server, base_url=url, follow_redirects=False)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:9000", "http://[", "file://", "",
     "http://127.0.0.1:8000.evil.example", "http://evil.example@127.0.0.1:8000", VIEWER],
)  # fmt: skip
def test_a_foreign_page_reads_and_changes_nothing(method: str, origin: str) -> None:
    answer = client_of().request(method, "/", headers={"Origin": origin})
    assert answer.status_code == 403
    assert "patient" not in answer.text
    assert method == "HEAD" or "allowed_origins" in answer.json()["detail"]
    assert "access-control-allow-origin" not in answer.headers


def test_a_second_origin_does_not_hide_the_first() -> None:
    headers = [("Origin", "http://evil.example"), ("Origin", "http://127.0.0.1:8000")]
    assert client_of().post("/", headers=headers).status_code == 403


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "CROSS-SITE", "x"])
@pytest.mark.parametrize("mode", ["no-cors", "navigate", "cors"])
def test_a_picture_frame_or_form_of_a_foreign_page_is_refused(
    method: str, site: str, mode: str
) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": "iframe"}
    assert client_of().request(method, "/", headers=headers).status_code == 403


def test_a_link_of_a_foreign_page_opens_a_page_of_the_server() -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate",
               "Sec-Fetch-Dest": "document"}  # fmt: skip
    assert client_of().get("/", headers=headers).status_code == 200
    assert client_of().post("/", headers=headers).status_code == 403


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "http://127.0.0.1:8000"}, {"Sec-Fetch-Site": "same-origin"},
     {"Sec-Fetch-Site": "none"}],
)  # fmt: skip
def test_own_pages_and_programs_without_an_origin_are_answered(
    method: str, headers: dict[str, str]
) -> None:
    assert client_of().request(method, "/", headers=headers).status_code == 200


def test_a_page_behind_a_proxy_with_tls_is_the_server_s_own() -> None:
    headers = {"Host": "zeus.example", "Origin": "https://zeus.example"}
    assert client_of(hosts=("zeus.example",)).post("/", headers=headers).status_code == 200


def test_a_page_of_an_allowed_origin_is_answered_and_reads_the_answer() -> None:
    client = client_of(origins=(VIEWER,))
    asks = {"Origin": VIEWER, "Access-Control-Request-Method": "PUT"}
    assert client.options("/", headers=asks).headers["access-control-allow-origin"] == VIEWER
    answer = client.put("/", headers={"Origin": VIEWER})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == VIEWER
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost", "LOCALHOST:8000", "[::1]:8000", "zeus.example",
             "Zeus.example:443", "192.0.2.9"]
)  # fmt: skip
def test_a_server_is_reached_by_loopback_and_by_its_own_names(host: str) -> None:
    client = client_of(hosts=("ZEUS.example", "192.0.2.9:8443"))
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "a b", "[",
             "user@127.0.0.1", "evil.example\\@127.0.0.1", "127.0.0.1/evil", "127.0.0.1#",
             "0.0.0.0", "192.0.2.7", "zeus.example.evil.example", "127.0.0.1:8000:1", "localhost\n"]
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/missing/", "//evil.example/"])
def test_a_foreign_host_is_refused_whatever_it_asks_for(host: str, path: str) -> None:
    answer = client_of(hosts=("zeus.example",)).get(path, headers={"Host": host})
    assert answer.status_code == 403
    assert "location" not in answer.headers
    assert "allowed_hosts" in answer.json()["detail"]


def test_two_hosts_are_refused() -> None:
    headers = [("Host", "localhost"), ("Host", "evil.example")]
    assert client_of().get("/", headers=headers).status_code == 403


def test_a_request_from_another_machine_is_refused_unless_the_owner_says_so() -> None:
    url = "http://192.0.2.7:8000"  # the address that the request arrives at
    refused = client_of(url=url).get("/")
    assert refused.status_code == 403
    assert "--insecure" in refused.json()["detail"]
    client = client_of(url=url, local_only=False)
    assert client.get("/").status_code == 200
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
