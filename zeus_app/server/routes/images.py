"""MONAI Label's routes by which a client opens a study: what is opened is prepared.

They read, write and convert files, which the stock ones do on the event loop, before everyone.
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
from zeus_app.server.routes.zeus import USER


def opening_routes(app: Callable[[], GuardedApp]) -> APIRouter:
    """Routes that stand before MONAI Label's own.

    Args:
        app: gives the running app; POST /reload may replace it.
    """
    router = APIRouter()

    @router.get("/datastore/image", tags=["Datastore"], dependencies=[USER])
    def download_image(image: str) -> Any:
        """A study's reference volume, or the sequence named."""
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
        """Keep the files of one study for a while."""
        if uncompress and len(files) == 1:  # as the stock route does
            _check_archive(files[0])
        made = stock_session.create_session(background_tasks, uncompress, expiry, files)
        image = Path(made["session_info"]["image"])
        app().context.encode_session(made["session_id"], image)
        return made

    return router


def _check_archive(file: UploadFile) -> None:
    """Refuse what `shutil.unpack_archive` fails on, or would unpack outside its folder (tar)."""
    name = file.filename or ""
    try:
        with zipfile.ZipFile(file.file) as archive:
            whole = archive.testzip() is None and name.endswith(".zip")
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError):  # or it asks for a password
        whole = False
    file.file.seek(0)
    if not whole:
        raise InputError(
            f"{name!r}, to be uncompressed",
            expected="one whole ZIP without a password, named *.zip",
            remedy="pack the files again, or send them as they are, without uncompress",
        )
