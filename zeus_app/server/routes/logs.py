"""GET /logs: the log of this server alone."""

import html as escaping
import subprocess
from collections import deque
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, Response

from zeus_app.server.routes.roles import ADMIN

MOST_LINES = 100_000
Lines = Annotated[int, Query(ge=0, le=MOST_LINES)]
Seconds = Annotated[int, Query(ge=0, le=3600)]


def log_routes(path: Path) -> APIRouter:
    """Routes that replace MONAI Label's own, which show the lines of all servers of the app.

    Args:
        path: of this server's log.
    """
    router = APIRouter(prefix="/logs", tags=["Others"], dependencies=[ADMIN])

    @router.get("/")
    def newest_lines(
        lines: Lines = 300, html: bool = True, text: bool = False, refresh: Seconds = 0
    ) -> Response:
        """The newest lines, as a page or as text; lines=0 for the whole file."""
        if not path.is_file():
            raise HTTPException(404, "this server has no log yet")
        if not lines:
            return FileResponse(path, media_type="text/plain")
        with path.open(encoding="utf-8", errors="replace") as file:
            newest = "".join(deque(file, lines))
        if text or not html:
            return PlainTextResponse(newest)
        headers = {"Refresh": str(max(refresh, 3))} if refresh else None
        return HTMLResponse(f"<pre>{escaping.escape(newest)}</pre>", headers=headers)

    @router.get("/gpu")
    def gpu() -> PlainTextResponse:
        """What nvidia-smi says; 404 on a machine without it."""
        try:
            shown = subprocess.run(["nvidia-smi"], capture_output=True, check=False).stdout
        except FileNotFoundError as error:
            raise HTTPException(404, "this server has no nvidia-smi") from error
        return PlainTextResponse(shown.decode("utf-8", "replace"))

    return router
