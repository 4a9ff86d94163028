"""GET and DELETE /session: the images that a client lent to the server."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse
from monailabel.utils.others.generic import get_mime_type

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.server.routes.guards import GuardedApp
from zeus_app.server.routes.roles import USER


def session_routes(app: Callable[[], GuardedApp]) -> APIRouter:
    """Routes that replace MONAI Label's own, which fail on a session of several files.

    Args:
        app: returns the running app.
    """
    router = APIRouter(prefix="/session", tags=["Session"], dependencies=[USER])

    @router.get("/{session_id}", response_model=None)
    def get_session(
        session_id: str, update_ts: bool = False, image: bool = False
    ) -> dict[str, Any] | FileResponse:
        """What is known of a session; with image=true, its file."""
        session = known_session(app(), session_id, update_ts=update_ts)
        return _file_of(session) if image else dict(session.to_json())

    @router.delete("/{session_id}")
    def remove_session(session_id: str) -> dict[str, Any]:
        """Remove a session and its files."""
        session = known_session(app(), session_id)
        app().sessions().remove_session(session_id)
        return dict(session.to_json())

    return router


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
        session = app.sessions().get_session(session_id, update_ts=update_ts)
    if session is None or not _is_below(Path(session.image), Path(session.path)):
        raise UnknownNameError(
            f"unknown session {session_id[:80]!r}",
            expected="a session that has not expired",
            remedy="make a session with PUT /session/ and send its session_id",
        )
    return session


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
