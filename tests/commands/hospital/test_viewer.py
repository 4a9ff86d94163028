from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
import requests
from starlette.testclient import TestClient

from tests.server.running import free_port
from zeus_app.commands.hospital.orthanc import Login
from zeus_app.commands.hospital.viewer import DicomwebSource, Viewer, viewer_app

LOGIN = "Basic YW5uYTpzZWNyZXQ="  # anna:secret in base64


class Dicomweb(BaseHTTPRequestHandler):
    """Answers with its own type of content, and remembers what it was asked."""

    asked: ClassVar[list[tuple[str, str, bytes]]] = []
    logins: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((self.command, self.path, body))
        self.logins.append(self.headers.get("Authorization"))
        self.send_response(206)
        self.send_header("Content-Type", "multipart/related; boundary=x")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(f"{self.headers['Accept']} for {self.headers['Host']}".encode())

    do_POST = do_GET

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def source() -> Iterator[DicomwebSource]:
    Dicomweb.asked.clear()
    Dicomweb.logins.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Dicomweb) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield DicomwebSource(f"http://127.0.0.1:{server.server_port}/pacs", Login("anna", "secret"))
        server.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "viewer"
    folder.mkdir()
    (folder / "index.html").write_text("the page")
    (folder / "app.js").write_text("the script")
    (tmp_path / "private.txt").write_text("private")
    return folder


@pytest.fixture
def client(folder: Path, source: DicomwebSource) -> TestClient:
    return TestClient(viewer_app(folder, source), base_url="http://127.0.0.1:3000")


def test_a_file_is_served(client: TestClient) -> None:
    assert client.get("/app.js").text == "the script"


@pytest.mark.parametrize("path", ["/", "/viewer", "/segmentation/dicomweb"])
def test_other_paths_are_pages_of_the_viewer(client: TestClient, path: str) -> None:
    assert client.get(path).text == "the page"


@pytest.mark.parametrize("path", ["/%2e%2e/private.txt", "/..%2fprivate.txt", "/a%00b"])
def test_no_other_file_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).text == "the page"


def test_the_settings_name_this_servers_dicomweb(client: TestClient) -> None:
    settings = client.get("/app-config.js")
    assert settings.headers["Content-Type"].startswith("text/javascript")
    assert "location.origin + '/dicom-web'" in settings.text


def test_a_question_goes_to_the_pacs_with_its_login(client: TestClient) -> None:
    client.get("/dicom-web/studies?limit=2&PatientName=a%20b")
    assert Dicomweb.asked == [("GET", "/pacs/studies?limit=2&PatientName=a%20b", b"")]
    assert Dicomweb.logins == [LOGIN]


def test_an_instance_that_the_viewer_stores_goes_to_the_pacs(client: TestClient) -> None:
    client.post("/dicom-web/studies", content=b"DICM")
    assert Dicomweb.asked == [("POST", "/pacs/studies", b"DICM")]


def test_the_answer_of_the_pacs_comes_back(client: TestClient) -> None:
    answer = client.get("/dicom-web/studies", headers={"Accept": "image/jls"})
    assert answer.status_code == 206
    assert answer.headers["Content-Type"] == "multipart/related; boundary=x"
    assert answer.text == "image/jls for 127.0.0.1:3000"


def test_a_foreign_page_reaches_nothing(client: TestClient) -> None:
    page = {"Origin": "http://evil.example"}
    assert client.post("/dicom-web/studies", headers=page).status_code == 403
    assert client.get("/dicom-web/studies", headers={"Host": "evil.example"}).status_code == 403
    assert Dicomweb.asked == []


def test_a_started_viewer_answers_until_its_block_ends(
    folder: Path, source: DicomwebSource
) -> None:
    with Viewer(folder, source, port=free_port()) as viewer:
        assert requests.get(viewer.url, timeout=60).text == "the page"
    with pytest.raises(requests.ConnectionError):
        requests.get(viewer.url, timeout=60)
