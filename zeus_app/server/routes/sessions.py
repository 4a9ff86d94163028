"""PUT, GET and DELETE /session: the images that a client lent to the server."""

import tempfile
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, HTTPException, UploadFile
from fastapi.responses import FileResponse
from monailabel.utils.others.generic import get_mime_type

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.server.routes.guards import GuardedApp
from zeus_app.server.routes.roles import USER
from zeus_app.server.routes.session_files import save_files, unpack
from zeus_app.server.security.body_size import MIB
from zeus_app.studies.uploads import check_images


def session_routes(app: Callable[[], GuardedApp]) -> APIRouter:
    """Routes that replace MONAI Label's own, which take any file and unpack any archive.

    Args:
        app: returns the running app.
    """
    router = APIRouter(prefix="/session", tags=["Session"], dependencies=[USER])

    @router.put("/")
    def create_session(
        files: Annotated[list[UploadFile], File()], uncompress: bool = False, expiry: int = 0
    ) -> dict[str, Any]:
        """Save the images of one study until the session expires."""
        session = _new_session(app(), files, uncompress=uncompress, expiry=expiry)
        app().context.encode_session(session.name, Path(session.image))
        return {"session_id": session.name, "session_info": _as_json(session)}

    @router.get("/{session_id}", response_model=None)
    def get_session(
        session_id: str, update_ts: bool = False, image: bool = False
    ) -> dict[str, Any] | FileResponse:
        """What is known of a session; with image=true, its file."""
        session = known_session(app(), session_id, update_ts=update_ts)
        return _file_of(session) if image else _as_json(session)

    @router.delete("/{session_id}")
    def remove_session(session_id: str) -> dict[str, Any]:
        """Remove a session and its files."""
        session = known_session(app(), session_id)
        _sessions(app()).remove_session(session_id)
        return _as_json(session)

    return router


def _new_session(
    app: GuardedApp, files: Sequence[UploadFile], *, uncompress: bool, expiry: int
) -> Any:
    """A new session with a request's files, or with those of its one ZIP.

    If a file is refused, nothing of the request stays.
    """
    config, name = app.context.config, str(uuid.uuid4())
    with tempfile.TemporaryDirectory(prefix="zeus-") as folder:
        study = Path(folder) / "study"
        study.mkdir()
        if uncompress and len(files) == 1:
            image = unpack(files[0], study, max_bytes=config.max_upload_mib * MIB)
        else:
            image = save_files(files, study)
        check_images(image, max_voxels=config.max_voxels)
        try:
            _, session = _sessions(app).add_session(str(image), expiry, session_id=name)
        except BaseException:
            _sessions(app).remove_session(name)
            raise
    return session


def known_session(app: GuardedApp, session_id: str, *, update_ts: bool = False) -> Any:
    """A session by its id, as MONAI Label stores it.

    MONAI Label takes the id as the name of a folder. An id that is no UUID names no session, and
    neither does one whose image lies outside its folder.

    Args:
        app: the running app.
        session_id: as PUT /session/ returned it.
        update_ts: let the session's time begin again.

    Raises:
        UnknownNameError: there is no such session, or it has expired.
    """
    session = None
    if _is_uuid(session_id):
        session = _sessions(app).get_session(session_id, update_ts=update_ts)
    if session is None or not _is_below(Path(session.image), Path(session.path)):
        raise UnknownNameError(
            f"unknown session {session_id[:80]!r}",
            expected="a session that has not expired",
            remedy="make a session with PUT /session/ and send its session_id",
        )
    return session


def _sessions(app: GuardedApp) -> Any:
    sessions = app.sessions()
    if sessions is None:  # the status of the stock routes
        raise HTTPException(406, detail="sessions are switched off on this server")
    return sessions


def _as_json(session: Any) -> dict[str, Any]:
    """What is known of a session, without folders of this machine."""
    known = dict(session.to_json())
    return {**known, "path": session.name, "image": Path(session.image).name}


def _file_of(session: Any) -> FileResponse:
    path = Path(session.image)
    if not path.is_file():
        raise InputError(
            f"image=true for session {session.name}, which holds several files",
            expected="image=true for a session of one file",
            remedy="leave image out of the request",
        )
    return FileResponse(path, media_type=get_mime_type(str(path)), filename=path.name)


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _is_below(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
