"""A web server for the current OHIF on loopback: its files, its settings, and DICOMweb.

OHIF asks the DICOMweb server from the browser. Orthanc allows no page of another port to do so, so
this server passes these requests on: for the browser, both are one site.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import requests
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from zeus_app.commands.hospital.orthanc import Login
from zeus_app.errors import InputError
from zeus_app.server.lifecycle.server_command import LOOPBACK, check_port
from zeus_app.server.security.requests import RequestGuard
from zeus_app.types import MIB

_PASSED_ON = ("accept", "content-type", "host")
"""Request headers that DICOMweb needs; by Host, Orthanc writes addresses that lead back here."""
_METHODS = ["GET", "POST"]
_TIMEOUT_S = 120
_START_TIMEOUT_S, _POLL_S = 30, 0.05


@dataclass(frozen=True)
class DicomwebSource:
    """A DICOMweb server: its address, and the login for it."""

    url: str
    login: Login | None = None


def viewer_settings() -> str:
    """The file app-config.js: one data source, which is this server's /dicom-web."""
    source = {
        "friendlyName": "PACS",
        "name": "PACS",
        "qidoRoot": "/dicom-web",
        "wadoRoot": "/dicom-web",
        "wadoUriRoot": "/dicom-web",
        "qidoSupportsIncludeField": True,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "supportsFuzzyMatching": False,
        "supportsWildcard": True,
        "dicomUploadEnabled": True,
        "singlepart": "bulkdata,video",
        "bulkDataURI": {"enabled": True},
        "omitQuotationForMultipartRequest": True,
    }
    settings = {
        "routerBasename": None,
        "extensions": [],
        "modes": [],
        "customizationService": {},
        "showStudyList": True,
        "maxNumberOfWebWorkers": 2,
        "showLoadingIndicator": True,
        "showWarningMessageForCrossOrigin": False,
        "strictZSpacingForVolumeViewport": True,
        "investigationalUseDialog": {"option": "never"},
        "defaultDataSourceName": "pacs",
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": "pacs",
                "configuration": source,
            }
        ],
    }
    absolute = (
        "for (const root of ['qidoRoot', 'wadoRoot', 'wadoUriRoot'])\n"
        "  config.dataSources[0].configuration[root] = location.origin + '/dicom-web';\n"
    )
    return f"window.config = {json.dumps(settings, indent=1)};\n{absolute}"


def viewer_app(folder: Path, source: DicomwebSource) -> Starlette:
    """The web server.

    Args:
        folder: the viewer's files.
        source: where requests below /dicom-web go.
    """

    def settings(request: Request) -> Response:
        return Response(viewer_settings(), media_type="text/javascript")

    async def dicomweb(request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(_pass_on, request, body, source)

    def file(request: Request) -> Response:
        return _file(folder, request.path_params["path"])

    routes = [
        Route("/app-config.js", settings),
        Route("/dicom-web/{path:path}", dicomweb, methods=_METHODS),
        Route("/{path:path}", file),
    ]
    return Starlette(routes=routes, middleware=[Middleware(RequestGuard)])


def _file(folder: Path, path: str) -> Response:
    """A file of the viewer. A path without a file is a page of the viewer itself."""
    try:
        file = (folder / path).resolve()
        is_file = file.is_relative_to(folder.resolve()) and file.is_file()
    except (OSError, ValueError):  # too long, or with a NUL
        is_file = False
    return FileResponse(file if is_file else folder / "index.html")


def _pass_on(request: Request, body: bytes, source: DicomwebSource) -> Response:
    """Send a request to the DICOMweb server and return its answer."""
    headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
    answer = requests.request(
        request.method,
        f"{source.url}/{request.path_params['path']}",
        params=request.url.query,
        data=body,
        headers=headers,
        auth=(source.login.user, source.login.password) if source.login else None,
        timeout=_TIMEOUT_S,
        stream=True,
        allow_redirects=False,
    )
    return StreamingResponse(
        _chunks(answer),
        status_code=answer.status_code,
        headers=_answer_headers(answer.headers),
    )


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    with answer:
        yield from answer.iter_content(MIB)


def _answer_headers(headers: Mapping[str, str]) -> dict[str, str]:
    content_type = headers.get("Content-Type")
    return {"Content-Type": content_type} if content_type else {}


class Viewer:
    """Context manager: serves the viewer from a thread of this process.

    Args:
        folder: the viewer's files.
        source: the DICOMweb server that it shows.
        port: a free TCP port.

    Attributes:
        url: address of the study list.
    """

    def __init__(self, folder: Path, source: DicomwebSource, *, port: int) -> None:
        self.url = f"http://{LOOPBACK}:{port}"
        self._port = port
        self._server = uvicorn.Server(
            uvicorn.Config(
                viewer_app(folder, source), host=LOOPBACK, port=port, log_level="warning"
            )
        )
        # Signals are the main thread's: it ends this server together with the others.
        self._thread = threading.Thread(target=self._server.run, name="viewer", daemon=True)

    def __enter__(self) -> Self:
        check_port(LOOPBACK, self._port)
        self._thread.start()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._server.started and self._thread.is_alive():
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_S)
        if not self._server.started:
            raise InputError(
                f"the viewer did not start at {self.url}",
                expected="a free port",
                remedy="try again",
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
