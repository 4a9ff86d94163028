"""The proxy reaches the PACS of the settings alone, with the credentials of the settings."""

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from zeus_app.dicom.web.client import session_of
from zeus_app.dicom.web.errors import NotInPacsError
from zeus_app.dicom.web.paths import read_path
from zeus_app.dicom.web.proxy import WebProxy
from zeus_app.errors import InputError, PacsAwayError, PacsError
from zeus_app.settings.pacs import PacsSettings, pacs_access

ROOT = "/proxy/dicom/wado"
SECRETS = {"ZEUS_PACS_USER": "zeus", "ZEUS_PACS_PASSWORD": "s3cret"}
DICOM_PARTS = 'multipart/related; type="application/dicom"; boundary=b'


@dataclass
class Pacs:
    """A server that answers everything alike, and remembers what it was asked.

    Attributes:
        status, media_type, body: of the answer.
        asked: method and address of each request.
        headers: of the last request.
        sent: the body of the last request.
    """

    url: str = ""
    status: int = 200
    media_type: str = "application/dicom+json"
    body: bytes = b"[]"
    asked: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    sent: bytes = b""


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    state = Pacs()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(f"{self.command} {self.path}")
            state.headers = dict(self.headers.items())
            state.sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(state.status)
            self.send_header("Content-Type", state.media_type)
            self.send_header("Content-Length", str(len(state.body)))
            self.send_header("Set-Cookie", "pacs=1")
            self.end_headers()
            self.wfile.write(state.body)

        do_POST = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_port}/dicom-web"
        yield state
        server.shutdown()


def proxy(pacs: Pacs, secrets: dict[str, str] | None = None) -> WebProxy:
    access = pacs_access(
        pacs.url, PacsSettings.model_validate({"pacs_timeout_s": 5}), secrets or {}
    )
    return WebProxy(access.url, session_of(access), root=ROOT)


def body(pacs: Pacs, path: str = "studies", **options: str) -> bytes:
    return b"".join(proxy(pacs).get(read_path(path), **options).body)


def test_the_same_resource_is_asked_for(pacs: Pacs) -> None:
    body(pacs, "studies/1.2/series", query="limit=1&PatientName=%2Adoe%2A")
    assert pacs.asked == ["GET /dicom-web/studies/1.2/series?limit=1&PatientName=%2Adoe%2A"]


def test_the_credentials_are_those_of_the_settings(pacs: Pacs) -> None:
    proxy(pacs, SECRETS).get(read_path("studies"))
    assert pacs.headers["Authorization"] == "Basic emV1czpzM2NyZXQ="  # zeus:s3cret


def test_the_client_says_what_it_accepts(pacs: Pacs) -> None:
    body(pacs, accept="multipart/related; transfer-syntax=*")
    assert pacs.headers["Accept"] == "multipart/related; transfer-syntax=*"


def test_pixels_come_as_they_are(pacs: Pacs) -> None:
    pacs.media_type, pacs.body = 'multipart/related; boundary="x"', bytes(range(256)) * 4000
    answer = proxy(pacs).get(read_path("studies/1.2/series/1.3/instances/1.4/frames/1"))
    assert answer.media_type == 'multipart/related; boundary="x"'
    assert b"".join(answer.body) == bytes(range(256)) * 4000


@pytest.mark.parametrize("escaped", [False, True])
def test_addresses_in_an_answer_lead_to_this_server(pacs: Pacs, escaped: bool) -> None:
    text = json.dumps([{"00081190": {"vr": "UR", "Value": [f"{pacs.url}/studies/1.2"]}}])
    pacs.body = (text.replace("/", "\\/") if escaped else text).encode()
    (item,) = json.loads(body(pacs))
    assert item["00081190"]["Value"] == ["/proxy/dicom/wado/studies/1.2"]


def test_a_list_of_nothing_may_have_no_body(pacs: Pacs) -> None:
    pacs.status, pacs.body, pacs.media_type = 204, b"", ""
    assert body(pacs) == b"[]"


@pytest.mark.parametrize("media_type", ["text/html", "image/svg+xml", "text/javascript"])
def test_a_page_or_a_program_is_not_passed_on(pacs: Pacs, media_type: str) -> None:
    pacs.media_type, pacs.body = media_type, b"<script>alert(1)</script>"
    with pytest.raises(PacsError, match="answers no DICOM") as refused:
        body(pacs)
    assert refused.value.status == 502


@pytest.mark.parametrize(("status", "answered"), [(401, 502), (403, 502), (404, 404), (503, 503)])
def test_a_refusal_is_told_in_words_of_zeus(pacs: Pacs, status: int, answered: int) -> None:
    pacs.status, pacs.body = status, b"secret page of the PACS"
    with pytest.raises(PacsError) as refused:
        body(pacs)
    assert refused.value.status == answered
    assert "secret page" not in str(refused.value)


def test_what_the_pacs_does_not_have_is_not_there(pacs: Pacs) -> None:
    pacs.status = 404
    with pytest.raises(NotInPacsError):
        body(pacs, "studies/1.2")


def test_no_redirect_to_another_host_is_followed(pacs: Pacs) -> None:
    pacs.status, pacs.media_type = 302, "text/html"
    access = pacs_access(pacs.url, PacsSettings(), {})
    session = session_of(access)
    session.hooks["response"].insert(
        0, lambda response, **_: response.headers.update({"location": "http://127.0.0.2/x"})
    )
    with pytest.raises(PacsError, match=r"redirects to http://127\.0\.0\.2"):
        WebProxy(access.url, session, root=ROOT).get(read_path("studies"))
    assert len(pacs.asked) == 1


def test_a_pacs_that_is_away_is_told(pacs: Pacs) -> None:
    pacs.url = "http://127.0.0.1:9/dicom-web"
    with pytest.raises(PacsAwayError, match="does not answer"):
        body(pacs)


def test_a_viewer_s_files_are_stored_with_the_credentials_of_the_settings(pacs: Pacs) -> None:
    proxy(pacs, SECRETS).store(read_path("studies/1.2"), b"--b...", DICOM_PARTS)
    assert pacs.asked == ["POST /dicom-web/studies/1.2"]
    assert pacs.sent == b"--b..."
    assert pacs.headers["Content-Type"] == DICOM_PARTS
    assert pacs.headers["Authorization"] == "Basic emV1czpzM2NyZXQ="


@pytest.mark.parametrize("media_type", ["", "text/html", "multipart/form-data; boundary=b"])
def test_nothing_but_dicom_is_stored(pacs: Pacs, media_type: str) -> None:
    with pytest.raises(InputError, match="a body that is no DICOM"):
        proxy(pacs).store(read_path("studies"), b"x", media_type)
    assert pacs.asked == []
