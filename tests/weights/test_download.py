"""Weights from a web server and from the hub, both played by a server on the loopback."""

import hashlib
import io
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from zeus_app.errors import CancelledError, InputError
from zeus_app.weights import WEIGHTS, State, Weight, get, state_of, weights_folder

PARAMETERS = bytes(range(256)) * 20_000  # 5.12 MB: five chunks
CONFIG = b'{"model_type": "llama"}'
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PATH = "/weights/model.bin"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Server:
    """What is served under which path, how, and what was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)  # status, X-Error-Code
    knows_ranges: bool = True
    breaks_after: int | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    @property
    def ranges(self) -> list[str | None]:
        """The Range of each download."""
        return [headers.get("Range") for method, headers in self.asked if method == "GET"]


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer("HEAD")

        def do_GET(self) -> None:
            self.answer("GET")

        def answer(self, method: str) -> None:
            server.asked.append((method, dict(self.headers)))
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
            asked = self.headers.get("Range")
            condition = self.headers.get("If-Range")
            if asked is None or not server.knows_ranges or (condition and condition != etag):
                return None
            return int(asked.removeprefix("bytes=").removesuffix("-"))

        def log_message(self, *args: object) -> None:
            """Be quiet."""

    return Handler


def use_hub(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """As HF_ENDPOINT would, had it been set before the hub's package was imported."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("ZEUS_WEIGHTS", str(tmp_path / "weights"))
    served = Server(files={PATH: PARAMETERS}, etags={PATH: '"one"'})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler(served))
    served.url = f"http://127.0.0.1:{http.server_address[1]}"
    use_hub(monkeypatch, served.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield served
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def know(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Enter a weight called tiny."""

    def enter(source: dict[str, Any], *files: dict[str, Any]) -> None:
        entry = {
            "name": "tiny",
            "role": "a test",
            "source": source,
            "licence": {"name": "Apache-2.0", "summary": "free"},
            "files": files,
        }
        monkeypatch.setitem(WEIGHTS, "tiny", Weight.model_validate(entry))

    return enter


def known_file() -> dict[str, Any]:
    return {"path": "model.bin", "size": len(PARAMETERS), "sha256": sha256(PARAMETERS)}


def stop_at_half(stage: str, done: int, total: int) -> None:
    """Stands for a kill: nothing after it runs."""
    if done >= len(PARAMETERS) // 2:
        raise CancelledError


def here() -> set[str]:
    return {path.name for path in (weights_folder() / "tiny").iterdir()}


def half_a_download() -> int:
    with pytest.raises(CancelledError):
        get("tiny", stop_at_half)
    return (weights_folder() / "tiny" / "model.bin.partial").stat().st_size


def test_a_file_is_downloaded_and_nothing_else_is_left(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, known_file())
    assert get("tiny").read_bytes() == PARAMETERS
    assert here() == {"model.bin"}


def test_progress_ends_at_the_file_s_size(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, known_file())
    told: list[tuple[str, int, int]] = []
    get("tiny", lambda stage, done, total: told.append((stage, done, total)))
    assert told[-1] == ("weights tiny", 5_120_000, 5_120_000)
    assert len(told) > 2


def test_a_killed_download_goes_on_where_it_stopped(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, known_file())
    size = half_a_download()
    assert 0 < size < len(PARAMETERS)
    assert get("tiny").read_bytes() == PARAMETERS
    assert server.ranges == [None, f"bytes={size}-"]
    assert here() == {"model.bin"}


def test_a_process_killed_outright_is_gone_on_with_by_another(server: Server, know: Any) -> None:
    partial = weights_folder() / "tiny" / "model.bin.partial"
    partial.parent.mkdir(parents=True)
    code = f"""
import os, signal
from pathlib import Path
from zeus_app.weights.urls import Address, download
done = 0
def count(size):
    global done
    done += size
    if done > {len(PARAMETERS) // 2}:
        os.kill(os.getpid(), signal.SIGKILL)
download(Address({server.url + PATH!r}), Path({str(partial)!r}), count)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    size = partial.stat().st_size
    know({"url": server.url + PATH}, {"path": "model.bin"})
    assert get("tiny").read_bytes() == PARAMETERS
    assert server.ranges == [None, f"bytes={size}-"]


def test_a_broken_connection_is_told_and_gone_on_with(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, known_file())
    server.breaks_after = 3_000_000
    with pytest.raises(InputError, match="stopped at .* bytes(.|\n)*goes on where it stopped"):
        get("tiny")
    server.breaks_after = None
    assert get("tiny").read_bytes() == PARAMETERS
    assert server.ranges[1] is not None


def test_a_server_without_ranges_sends_it_all_again(server: Server, know: Any) -> None:
    server.knows_ranges = False
    know({"url": server.url + PATH}, known_file())
    half_a_download()
    assert get("tiny").read_bytes() == PARAMETERS


def test_a_download_killed_after_its_last_byte_is_not_repeated(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, known_file())
    half_a_download()
    (weights_folder() / "tiny" / "model.bin.partial").write_bytes(PARAMETERS)
    assert get("tiny").read_bytes() == PARAMETERS
    assert len(server.ranges) == 1


def test_a_partial_longer_than_the_file_is_thrown_away(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, known_file())
    half_a_download()
    (weights_folder() / "tiny" / "model.bin.partial").write_bytes(PARAMETERS + b"more")
    assert get("tiny").read_bytes() == PARAMETERS


def test_a_file_that_changed_meanwhile_is_not_mixed_with_the_old(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, {"path": "model.bin"})
    half_a_download()
    server.files[PATH], server.etags[PATH] = PARAMETERS[::-1], '"two"'
    assert get("tiny").read_bytes() == PARAMETERS[::-1]


def test_without_hash_and_etag_a_download_starts_anew(server: Server, know: Any) -> None:
    server.etags.clear()
    know({"url": server.url + PATH}, {"path": "model.bin"})
    half_a_download()
    assert get("tiny").read_bytes() == PARAMETERS
    assert server.ranges == [None, None]


def test_a_hash_stated_nowhere_is_recorded_at_the_download(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, {"path": "model.bin"})
    get("tiny")
    assert state_of("tiny") == State.RECORDED


def test_a_server_with_another_file_is_refused_with_both_hashes(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, known_file())
    server.files[PATH] = PARAMETERS[::-1]
    with pytest.raises(InputError) as refused:
        get("tiny")
    assert sha256(PARAMETERS[::-1]) in str(refused.value)
    assert sha256(PARAMETERS) in str(refused.value)
    assert here() == set()


def test_a_file_that_is_not_served_is_told_with_its_address(server: Server, know: Any) -> None:
    know({"url": server.url + "/gone"}, known_file())
    with pytest.raises(InputError, match="/gone stopped at 0 bytes: 404"):
        get("tiny")


def test_two_downloads_of_one_file_do_not_mix(server: Server, know: Any) -> None:
    know({"url": server.url + PATH}, known_file())
    refused: list[InputError] = []

    def get_again(stage: str, done: int, total: int) -> None:
        if not refused:
            with pytest.raises(InputError, match="written by another process") as error:
                get("tiny")
            refused.append(error.value)

    assert get("tiny", get_again).read_bytes() == PARAMETERS
    assert len(refused) == 1


def zipped(files: dict[str, bytes]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return memory.getvalue()


def test_the_member_of_a_zip_is_taken_out_and_the_zip_removed(server: Server, know: Any) -> None:
    server.files["/all.zip"] = zipped({"model.bin": PARAMETERS, "README": b"hello"})
    know({"url": server.url + "/all.zip", "zip": True}, known_file())
    assert get("tiny").read_bytes() == PARAMETERS
    assert here() == {"model.bin"}


@pytest.mark.parametrize("data", [zipped({"other.bin": b""}), b"<html>quota exceeded</html>"])
def test_a_zip_without_the_member_is_refused(server: Server, know: Any, data: bytes) -> None:
    server.files["/all.zip"] = data
    know({"url": server.url + "/all.zip", "zip": True}, known_file())
    with pytest.raises(InputError, match="gave no zip with the files in it"):
        get("tiny")


HUB = {"hub": "owner/model", "revision": COMMIT}
HUB_PATH = f"/owner/model/resolve/{COMMIT}/"


@pytest.fixture
def hub(server: Server) -> Server:
    server.files = {HUB_PATH + "model.bin": PARAMETERS, HUB_PATH + "config.json": CONFIG}
    server.etags = {  # the hub's ETag is the SHA-256 of a large file, git's SHA-1 of a small one
        HUB_PATH + "model.bin": f'"{sha256(PARAMETERS)}"',
        HUB_PATH + "config.json": f'"{COMMIT}"',
    }
    return server


def test_the_hub_s_files_come_from_the_commit_that_is_named(hub: Server, know: Any) -> None:
    know(HUB, known_file(), {"path": "config.json"})
    assert get("tiny").read_bytes() == PARAMETERS
    assert (weights_folder() / "tiny" / "config.json").read_bytes() == CONFIG
    assert here() == {"model.bin", "config.json", "hashes.json"}


def test_a_killed_download_from_the_hub_goes_on_too(hub: Server, know: Any) -> None:
    know(HUB, known_file())
    size = half_a_download()
    assert get("tiny").read_bytes() == PARAMETERS
    assert hub.ranges == [None, f"bytes={size}-"]


def test_the_hash_that_the_hub_states_is_compared(hub: Server, know: Any) -> None:
    hub.files[HUB_PATH + "model.bin"] = PARAMETERS[::-1]
    know(HUB, {"path": "model.bin"})
    with pytest.raises(InputError, match=f"Expected: SHA-256 {sha256(PARAMETERS)}"):
        get("tiny")


def test_a_hub_that_states_another_hash_is_refused_before_the_download(
    hub: Server, know: Any
) -> None:
    know(HUB, {"path": "model.bin", "sha256": "0" * 64})
    with pytest.raises(InputError, match="the hub states SHA-256"):
        get("tiny")
    assert hub.ranges == []


def test_the_token_of_the_environment_is_sent(
    hub: Server, know: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    know(HUB, known_file())
    get("tiny")
    assert {headers.get("Authorization", headers.get("authorization")) for _, headers in hub.asked
            } == {"Bearer hf_of_a_test"}  # fmt: skip


def test_a_gated_repository_says_where_to_agree(hub: Server, know: Any) -> None:
    hub.refused[HUB_PATH + "model.bin"] = (403, "GatedRepo")
    know(HUB, known_file())
    with pytest.raises(InputError, match=r"agree at http://.*/owner/model, then set HF_TOKEN"):
        get("tiny")


def test_a_file_that_the_repository_has_not_is_named(hub: Server, know: Any) -> None:
    know(HUB, {"path": "absent.bin"})
    with pytest.raises(InputError, match=r"the hub did not give absent\.bin of owner/model"):
        get("tiny")


def test_a_hub_out_of_reach_is_told_with_what_can_be_done_by_hand(
    hub: Server, know: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_hub(monkeypatch, "http://127.0.0.1:9")
    know(HUB, known_file())
    with pytest.raises(InputError, match=r"the hub did not give model\.bin(.|\n)*by hand"):
        get("tiny")


def test_offline_mode_is_respected(hub: Server, know: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    know(HUB, known_file())
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
        get("tiny")
    assert hub.asked == []


def test_each_file_comes_from_its_own_source(hub: Server, know: Any) -> None:
    hub.files["/all.zip"] = zipped({"model.bin": PARAMETERS})
    know(
        {"url": hub.url + "/all.zip", "zip": True}, known_file(),
        {"path": "config.json", "source": HUB},
    )  # fmt: skip
    get("tiny")
    assert here() == {"model.bin", "config.json", "hashes.json"}
