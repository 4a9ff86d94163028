"""What Chromium lets pages do: the viewer works, and foreign pages reach nothing.

The browser resolves two names, both to this machine, and reaches no other.
"""

import base64
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pydicom
import pytest
import uvicorn
from fastapi import FastAPI, Request
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_pixel_data_frame
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from tests.server.running import Server, free_port
from tests.waiting import wait_until
from zeus_app.server.lifecycle.install import guard
from zeus_app.server.routes.ohif import VIEWER

pytestmark = pytest.mark.browser

EVIL = "evil.example"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-proxy-server",
    f"--host-resolver-rules=MAP {EVIL} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
REFUSED = "TypeError: Failed to fetch"
FOREIGN_HOSTS = (EVIL, "127.0.0.1")
"""Hosts of foreign pages: of another site; of the server's site, on another port."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


def result_of(browser: Chrome, script: str, *arguments: object) -> Any:
    """What an asynchronous script returns in the open page, or the text of what it raises.

    The script finds its arguments in `given`.
    """
    return browser.execute_async_script(
        "const given = [...arguments], done = given.pop();"
        f"(async () => {{ {script} }})().then(done, error => done(String(error)));",
        *arguments,
    )


def call(browser: Chrome, script: str, *arguments: str) -> Any:
    """What a script returns in the open page."""
    return browser.execute_script(script, *arguments)


def text_of(browser: Chrome) -> str:
    """What the open page shows."""
    return browser.find_element(By.TAG_NAME, "body").text


def violations(browser: Chrome) -> list[str]:
    """What a policy forbade since the last call, as the console of the browser tells."""
    entries = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in entries if entry["source"] == "security"]


def open_viewer(browser: Chrome, server: Server) -> None:
    browser.get(f"{server.url}/ohif/")
    wait_until(lambda: "Study List" in text_of(browser))


def test_the_viewer_renders_and_its_policy_forbids_nothing(browser: Chrome, server: Server) -> None:
    violations(browser)  # of earlier pages
    open_viewer(browser, server)
    assert violations(browser) == []


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc", "/logs/?html=true"])
def test_no_page_of_the_server_breaks_its_own_policy(
    browser: Chrome, server: Server, path: str
) -> None:
    violations(browser)
    browser.get(f"{server.url}{path}")
    assert violations(browser) == []


COMPILE = "return (await WebAssembly.compileStreaming(fetch(given[0]))).toString();"
"""JavaScript that compiles the WebAssembly of an address."""


@pytest.mark.parametrize("name", sorted(path.name for path in VIEWER.glob("*.wasm")))
def test_the_decoders_of_the_viewer_compile(browser: Chrome, server: Server, name: str) -> None:
    open_viewer(browser, server)
    assert result_of(browser, COMPILE, f"/ohif/{name}") == "[object WebAssembly.Module]"


DECODE = """
    const [script, transferSyntax, frame, imageFrame] = given;
    const pixelData = Uint8Array.from(atob(frame), letter => letter.charCodeAt(0));
    const task = {imageFrame, transferSyntax, pixelData, options: {preScale: {enabled: false}}};
    const worker = new Worker(script);
    worker.postMessage({id: "asked", type: "APPLY", path: ["decodeTask"],
                        argumentList: [{type: "RAW", value: task}]});
    return await new Promise((resolve, reject) => {
        worker.onmessage = event => resolve([...event.data.value.pixelData]);
        worker.onerror = () => reject("the worker did not start");
    });
"""
"""JavaScript that asks the viewer's worker as the viewer does (in messages of Comlink)."""


@pytest.mark.parametrize("name", ["MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm"])
def test_a_worker_of_the_viewer_decodes_a_slice(browser: Chrome, server: Server, name: str) -> None:
    """The decoders are WebAssembly, and write code of their own: they need 'unsafe-eval'."""
    slice_ = pydicom.dcmread(get_testdata_file(name, download=False))
    truth = pydicom.dcmread(get_testdata_file("MR_small.dcm", download=False)).pixel_array
    (script,) = VIEWER.glob("1927.bundle.*.js")  # decodeImageFrameWorker.js of Cornerstone
    open_viewer(browser, server)
    decoded = result_of(
        browser,
        DECODE,
        f"/ohif/{script.name}",
        str(slice_.file_meta.TransferSyntaxUID),
        base64.b64encode(next(generate_pixel_data_frame(slice_.PixelData))).decode(),
        {"rows": 64, "columns": 64, "bitsAllocated": 16, "bitsStored": 16, "samplesPerPixel": 1,
         "pixelRepresentation": 1, "photometricInterpretation": "MONOCHROME2"},
    )  # fmt: skip
    assert decoded == truth.ravel().tolist()


def test_a_worker_from_a_blob_compiles_webassembly(browser: Chrome, server: Server) -> None:
    open_viewer(browser, server)
    answer = result_of(
        browser,
        """
        const empty = "new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])"; // "\\\\0asm", version 1
        const text = `postMessage(String(new WebAssembly.Module(${empty})))`;
        const worker = new Worker(URL.createObjectURL(new Blob([text])));
        return await new Promise((resolve, reject) => {
            worker.onmessage = event => resolve(event.data);
            worker.onerror = event => reject(event.message);
        });
        """,
    )
    assert answer == "[object WebAssembly.Module]"


class EmptyPage(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def foreign_port() -> Iterator[int]:
    """The port of a server of empty pages, which belong to nobody's Zeus."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        yield pages.server_port
        pages.shutdown()


@pytest.fixture(params=[*FOREIGN_HOSTS, "null"])
def foreign_page(request: pytest.FixtureRequest, browser: Chrome, foreign_port: int) -> str:
    """The origin of an open foreign page; "null" is that of a page without a server."""
    if request.param == "null":
        browser.get("data:text/html,")
        return "null"
    origin = f"http://{request.param}:{foreign_port}"
    browser.get(origin)
    return origin


READ = "return await (await fetch(given[0], {method: given[1] ?? 'GET'})).text();"


@pytest.mark.parametrize("path", ["/info/", "/datastore/", "/logs/", "/zeus/studies"])
@pytest.mark.usefixtures("foreign_page")
def test_a_foreign_page_reads_nothing(browser: Chrome, server: Server, path: str) -> None:
    assert result_of(browser, READ, f"{server.url}{path}") == REFUSED


@pytest.mark.parametrize("path", ["/info/", "/ohif/", "/docs"])
@pytest.mark.usefixtures("foreign_page")
def test_a_foreign_page_frames_nothing(browser: Chrome, server: Server, path: str) -> None:
    result_of(
        browser,
        """
        const frame = document.createElement("iframe");
        frame.src = given[0];
        const loaded = new Promise(resolve => { frame.onload = resolve; });
        document.body.replaceChildren(frame);
        await loaded;
        """,
        f"{server.url}{path}",
    )
    browser.switch_to.frame(0)
    shown = call(browser, "return location.href")
    browser.switch_to.default_content()
    assert shown == "chrome-error://chromewebdata/"


@pytest.mark.usefixtures("foreign_page")
def test_a_foreign_page_that_opens_the_viewer_loses_it(browser: Chrome, server: Server) -> None:
    """A link may open the viewer. Its page takes it for closed, and cannot steer it."""
    (own,) = browser.window_handles
    call(browser, "window.opened = window.open(arguments[0])", f"{server.url}/ohif/")
    wait_until(lambda: call(browser, "return opened.closed"))
    (other,) = set(browser.window_handles) - {own}
    browser.switch_to.window(other)
    browser.close()
    browser.switch_to.window(own)


def test_a_foreign_name_that_leads_to_this_machine_reaches_nothing(
    browser: Chrome, server: Server
) -> None:
    """DNS rebinding: for the browser, the server is then the foreign page's own."""
    port = server.url.rsplit(":", 1)[1]
    browser.get(f"http://{EVIL}:{port}/ohif/")
    assert f"the host '{EVIL}:{port}'" in text_of(browser)
    assert "allowed_hosts" in result_of(browser, READ, "/info/")


@dataclass
class Guarded:
    """A tiny server with Zeus's guards, and the requests that its routes got."""

    url: str
    reached: list[str] = field(default_factory=list)


@contextmanager
def guarded(*origins: str) -> Iterator[Guarded]:
    """Serve, for pages of origins besides the server's own."""
    port = free_port()
    state = Guarded(f"http://127.0.0.1:{port}")
    app = FastAPI()

    @app.api_route("/{path:path}", methods=["GET", "PUT", "POST", "DELETE"])
    def route(request: Request) -> str:
        state.reached.append(request.method)
        return "read"

    guard(app, hosts=(), origins=origins, local_only=True)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    yield state
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def closed() -> Iterator[Guarded]:
    with guarded() as server:
        yield server


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.usefixtures("foreign_page")
def test_a_foreign_page_changes_nothing(browser: Chrome, closed: Guarded, method: str) -> None:
    assert result_of(browser, READ, f"{closed.url}/datastore/image", method) == REFUSED
    assert closed.reached == []


@pytest.mark.usefixtures("foreign_page")
def test_a_form_of_a_foreign_page_reaches_no_route(browser: Chrome, closed: Guarded) -> None:
    """A form needs no preflight, and shows its answer in place of the page."""
    call(
        browser,
        """
        const form = document.createElement("form");
        Object.assign(form, {method: "POST", action: arguments[0]});
        document.body.append(form);
        form.submit();
        """,
        f"{closed.url}/train/zeus",
    )
    wait_until(lambda: "another web page" in text_of(browser))
    assert closed.reached == []


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_page_of_an_allowed_origin_may_use_the_server(
    browser: Chrome, foreign_port: int, method: str
) -> None:
    origin = f"http://{EVIL}:{foreign_port}"
    with guarded(origin) as server:
        browser.get(origin)
        assert result_of(browser, READ, f"{server.url}/datastore/image", method) == '"read"'
        assert server.reached == [method]
        browser.get(f"http://127.0.0.1:{foreign_port}")
        assert result_of(browser, READ, f"{server.url}/datastore/image", method) == REFUSED
        assert server.reached == [method]
