"""A fake web server and hub on the loopback address, and its files."""

import io
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from huggingface_hub import constants

from tests.weights.tiny import sha256
from zeus_app.errors import CancelledError
from zeus_app.weights import get, weights_folder

PARAMETERS = bytes(range(256)) * 20_000  # 5.12 MB: five chunks
CONFIG = b'{"model_type": "llama"}'
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PATH = "/weights/model.bin"


@dataclass
class Server:
    """The files by path, how they are served, and the requests that came."""

    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)  # status, X-Error-Code
    knows_ranges: bool = True
    breaks_after: int | None = None
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    @property
    def ranges(self) -> list[str | None]:
        """The Range of each download."""
        return [headers.get("Range") for method, headers in self.requests if method == "GET"]


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer("HEAD")

        def do_GET(self) -> None:
            self.answer("GET")

        def answer(self, method: str) -> None:
            server.requests.append((method, dict(self.headers)))
            status, code = server.refused.get(self.path, (200, ""))
            if self.path not in server.files:
                status = 404
            if status != 200:
                self.head(status, {"X-Error-Code": code, "Content-Length": "0"})
                return
            data, etag = server.files[self.path], server.etags.get(self.path, "")
            start = self.start_of_range(etag)
            if start is not None and start >= len(data):
                self.head(416, {"Content-Length": "0"})
                return
            headers = {"ETag": etag, "X-Repo-Commit": COMMIT}
            if start is not None:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            body = data[start or 0 :]
            self.head(206 if start is not None else 200, {**headers, "Content-Length": len(body)})
            if method == "GET":
                self.wfile.write(body[: server.breaks_after])

        def head(self, status: int, headers: dict[str, Any]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if value != "":
                    self.send_header(name, str(value))
            self.end_headers()

        def start_of_range(self, etag: str) -> int | None:
            wanted_range = self.headers.get("Range")
            condition = self.headers.get("If-Range")
            if wanted_range is None or not server.knows_ranges or (condition and condition != etag):
                return None
            return int(wanted_range.removeprefix("bytes=").removesuffix("-"))

        def log_message(self, *args: object) -> None:
            """Be quiet."""

    return Handler


def use_hub(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Set what HF_ENDPOINT sets before the import of the hub's package."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def known_file() -> dict[str, Any]:
    return {"path": "model.bin", "size": len(PARAMETERS), "sha256": sha256(PARAMETERS)}


def stop_at_half(stage: str, done: int, total: int) -> None:
    """Stop a download at its half, like a kill."""
    if done >= len(PARAMETERS) // 2:
        raise CancelledError


def here() -> set[str]:
    return {path.name for path in (weights_folder() / "tiny").iterdir()}


def half_a_download() -> int:
    with pytest.raises(CancelledError):
        get("tiny", stop_at_half)
    return (weights_folder() / "tiny" / "model.bin.partial").stat().st_size


def zipped(files: dict[str, bytes]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return memory.getvalue()
