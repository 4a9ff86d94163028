"""GET /ohif: the viewer that MONAI Label ships."""

import re
from collections.abc import Callable
from pathlib import Path

import monailabel
from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, Response

from zeus_app.server.routes.roles import USER

VIEWER = Path(monailabel.__file__).parent / "endpoints" / "static" / "ohif"
_SETTINGS = "app-config.js"
_OWN_SERVER = """
// Added by Zeus: the panel MONAI Label asks this server, whichever port it has.
document.cookie = 'MONAILABEL_SERVER_URL=' + escape(window.location.origin + '/') + '; path=/ohif';
"""
_NO_UPLOAD = """
// Added by Zeus: this server stores no files of viewers.
window.config.dataSources[0].configuration.dicomUploadEnabled = false;
"""
_TYPES = {".html": "text/html", ".css": "text/css"}
_OTHER_SITE = re.compile(rb"""<link [^>]*=["']?https?:[^>]*>|@import url\(["']?https?:[^)]*\);""")
"""What makes a browser ask another site, in pages and styles: for fonts of Google."""


def viewer_routes(
    folder: Path = VIEWER, *, can_store: Callable[[], bool] = lambda: False
) -> APIRouter:
    """A route that replaces MONAI Label's own, which serves no file of a subfolder.

    Args:
        folder: the viewer's files.
        can_store: whether viewers may store DICOM files. Otherwise the viewer offers no upload.
    """
    router = APIRouter(tags=["Others"], dependencies=[USER])

    @router.get("/ohif/{path:path}", include_in_schema=False)
    def viewer_file(path: str) -> Response:
        """A file of the viewer. A path without a file is a page of the viewer itself."""
        file = _file_below(folder, path) or folder / "index.html"
        if not file.is_file():
            raise HTTPException(404, "this server has no OHIF viewer")
        if file == folder.resolve() / _SETTINGS:
            added = _OWN_SERVER if can_store() else _OWN_SERVER + _NO_UPLOAD
            return Response(file.read_text("utf-8") + added, media_type="text/javascript")
        if file.suffix in _TYPES:
            own = _OTHER_SITE.sub(b"", file.read_bytes())
            return Response(own, media_type=_TYPES[file.suffix])
        return FileResponse(file)

    return router


def _file_below(folder: Path, path: str) -> Path | None:
    """The file of a path; None if there is none below the folder."""
    try:
        file = (folder / path.lstrip("/")).resolve()
        return file if file.is_relative_to(folder.resolve()) and file.is_file() else None
    except (OSError, ValueError):  # too long, or with a NUL
        return None
