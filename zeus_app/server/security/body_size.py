"""The largest body of a request. What is larger is refused while it arrives."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MIB = 1024 * 1024
MAX_PLAIN_BYTES = 4 * MIB
"""Of a body without files. Such a body is held in memory; files go to the disk as they arrive."""


class BodyLimit:
    """ASGI middleware that refuses large bodies with status 413.

    It counts the bytes that arrive, because the header Content-Length may be wrong or missing.

    Args:
        app: answers the requests.
        max_bytes: of a form with files.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        has_files = headers.get("content-type", "").lower().startswith("multipart/form-data")
        most = self._max_bytes if has_files else min(MAX_PLAIN_BYTES, self._max_bytes)
        length = headers.get("content-length", "")
        stated = int(length[:20]) if length.isascii() and length.isdigit() else 0
        arrived = 0

        async def receive_counted() -> Message:
            nonlocal arrived
            if stated > most:
                raise _too_large(most, has_files=has_files)
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > most:
                raise _too_large(most, has_files=has_files)
            return message

        await self._app(scope, receive_counted, send)


def _too_large(most: int, *, has_files: bool) -> HTTPException:
    """The refusal. FastAPI lets no other exception pass while it reads a form."""
    remedy = (
        "send fewer or smaller files, or start the server with a larger --set max_upload_mib"
        if has_files
        else "send files as multipart/form-data, and shorter params"
    )
    return HTTPException(
        413,
        detail=f"a body that is too large. Expected: at most {most / MIB:g} MiB."
        f" What to do: {remedy}",
    )
