"""GET /datastore/image and PUT /session: a client opens a study, and its encoding begins.

The stock routes read, write and convert files on the event loop, where they block every request.
"""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, File, UploadFile
from fastapi.responses import FileResponse
from monailabel.endpoints import session as stock_session
from monailabel.utils.others.generic import get_mime_type

from zeus_app.errors import InputError
from zeus_app.server.routes.guards import GuardedApp
from zeus_app.server.routes.roles import USER


def image_routes(app: Callable[[], GuardedApp]) -> APIRouter:
    """Routes that replace MONAI Label's own.

    Args:
        app: returns the running app.
    """
    router = APIRouter()

    @router.get("/datastore/image", tags=["Datastore"], dependencies=[USER])
    def download_image(image: str) -> FileResponse:
        """Download a study's reference volume, or the named sequence."""
        ctx = app().context
        resolved = ctx.datastore.catalogue.resolve(image)
        path = ctx.datastore.catalogue.volume_file(resolved)
        ctx.encode_opened(resolved)
        return FileResponse(path, media_type=get_mime_type(str(path)), filename=path.name)

    @router.put("/session/", tags=["Session"], dependencies=[USER])
    def create_session(
        background_tasks: BackgroundTasks,
        files: Annotated[list[UploadFile], File()],
        uncompress: bool = False,
        expiry: int = 0,
    ) -> Any:
        """Save the files of one study until the session expires."""
        if uncompress and len(files) == 1:  # the stock route unpacks a single file alone
            _check_archive(files[0])
        session = stock_session.create_session(background_tasks, uncompress, expiry, files)
        image = Path(session["session_info"]["image"])
        app().context.encode_session(session["session_id"], image)
        return session

    return router


def _check_archive(file: UploadFile) -> None:
    """Refuse an archive that is broken, or that may write outside its folder (tar)."""
    name = file.filename or ""
    try:
        with zipfile.ZipFile(file.file) as archive:
            is_whole = archive.testzip() is None and name.endswith(".zip")
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError):  # RuntimeError: a password
        is_whole = False
    file.file.seek(0)
    if not is_whole:
        raise InputError(
            f"{name!r} with uncompress=true",
            expected="one whole ZIP without a password, named *.zip",
            remedy="pack the files again as study.zip, or send them unpacked, without uncompress",
        )
