"""What a client is told when a request fails: a reason, and nothing about this machine."""

import errno
import json
import logging
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.utils import is_body_allowed_for_status_code
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zeus_app.errors import BusyError, CancelledError, InputError

CANCELLED_STATUS = 409
STORAGE_STATUS = 507
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
"""Errors of a disk that takes no more bytes."""
TOO_MANY_FILES = frozenset({errno.EMFILE, errno.ENFILE})
"""Errors of a process that has too many files and connections open."""
BAD_NAME = frozenset({errno.ENAMETOOLONG, errno.EILSEQ})
_RETRY_AFTER_S = 10
_MOST_PROBLEMS = 20  # that a refusal of a form lists
_MOST_CHARACTERS = 200  # of a problem's place or message

logger = logging.getLogger(__name__)


class AsciiJSONResponse(JSONResponse):
    """JSON in ASCII, so that no text of a client makes the refusal itself fail."""

    def render(self, content: Any) -> bytes:
        """Encode; lone surrogates become escapes."""
        return json.dumps(content, ensure_ascii=True).encode("ascii")


class Faults:
    """The exception handlers of a server.

    Args:
        private: folder of this machine -> what clients read instead, such as "<state>".
    """

    def __init__(self, private: Mapping[Path, str]) -> None:
        names = {str(path): name for folder, name in private.items()
                 for path in (folder, folder.absolute(), folder.resolve())
                 if path.is_absolute() and len(path.parts) > 1}  # fmt: skip
        self._names = names
        # The longer path first: the state folder may lie in the home folder.
        paths = sorted(names, key=len, reverse=True)
        pattern = "|".join(map(re.escape, paths)) or "(?!)"
        self._private = re.compile(rf"(?<![\w./-])(?:{pattern})(?![\w.-])")

    def install(self, server: FastAPI) -> None:
        """Add the handlers to a server, for Zeus's own routes and for MONAI Label's.

        Call it before other middleware is added, which then sees all answers.
        """
        for error, handler in (
            (InputError, self._input_error),
            (CancelledError, self._cancelled),
            (BusyError, self._busy),
            (HTTPException, self._http_error),
            (RequestValidationError, self._invalid),
            (OSError, self._os_error),
            (MemoryError, self._no_memory),
            (torch.OutOfMemoryError, self._no_memory),
            (UnicodeEncodeError, self._lone_surrogate),
            (Exception, self.fault),  # of other middleware
        ):
            server.add_exception_handler(error, handler)  # type: ignore[arg-type]
        server.add_middleware(FaultAnswers, faults=self)

    def public(self, text: str) -> str:
        """A message without folders of this machine."""
        return self._private.sub(lambda match: self._names[match[0]], text)

    def _answer(
        self,
        request: Request,
        status: int,
        reason: object,
        headers: Mapping[str, str] | None = None,
    ) -> JSONResponse:
        logger.warning("%s %s: %s", request.method, request.url.path, reason)
        detail = self.public(str(reason))
        return AsciiJSONResponse({"detail": detail}, status_code=status, headers=headers)

    async def _input_error(self, request: Request, error: InputError) -> JSONResponse:
        return self._answer(request, error.status, error)

    async def _cancelled(self, request: Request, error: CancelledError) -> JSONResponse:
        return self._answer(request, CANCELLED_STATUS, error)

    async def _busy(self, request: Request, error: BusyError) -> JSONResponse:
        headers = {"Retry-After": str(error.retry_after_s)}
        return self._answer(request, error.status, error, headers)

    async def _http_error(self, request: Request, error: HTTPException) -> Response:
        """Answer as FastAPI does. Clients ask for what may be missing, so nothing is logged.

        FastAPI takes an error of the disk that an upload fills for a bad upload.
        """
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in FULL:
            return await self._os_error(request, cause)
        if not is_body_allowed_for_status_code(error.status_code):
            return Response(status_code=error.status_code, headers=error.headers)
        detail = error.detail
        detail = self.public(detail) if isinstance(detail, str) else detail
        return AsciiJSONResponse(
            {"detail": detail}, status_code=error.status_code, headers=error.headers
        )

    async def _invalid(self, request: Request, error: RequestValidationError) -> JSONResponse:
        """Tell where a request is invalid, without repeating what came: it may be large."""
        problems = [
            {
                "loc": [str(part)[:_MOST_CHARACTERS] for part in problem["loc"]],
                "msg": str(problem["msg"])[:_MOST_CHARACTERS],
                "type": str(problem["type"]),
            }
            for problem in [*error.errors()][:_MOST_PROBLEMS]
        ]
        logger.warning("%s %s: %s", request.method, request.url.path, problems)
        return AsciiJSONResponse({"detail": problems}, status_code=422)

    async def _os_error(self, request: Request, error: OSError) -> JSONResponse:
        if error.errno in FULL:
            logger.warning("%s %s: %s", request.method, request.url.path, error)
            reason = (
                f"the server cannot store this: {error.strerror}. Expected: a disk with room that"
                " may be written to. What to do: free some room, and send the request again;"
                " nothing that was stored is lost"
            )
            return self._answer(request, STORAGE_STATUS, reason)
        if error.errno in TOO_MANY_FILES:
            busy = BusyError("too many requests at once", retry_after_s=_RETRY_AFTER_S)
            return await self._busy(request, busy)
        if error.errno in BAD_NAME:
            reason = (
                f"a name that no file can have: {error.strerror}. Expected: a short name."
                " What to do: send a shorter name, for example patient_012.nii.gz"
            )
            return self._answer(request, 400, reason)
        return await self.fault(request, error)

    async def _no_memory(self, request: Request, error: Exception) -> JSONResponse:
        reason = (
            "this needs more memory than the server has. Expected: a smaller study, or fewer"
            " requests at once. What to do: send the request again later"
        )
        return self._answer(request, STORAGE_STATUS, reason)

    async def _lone_surrogate(self, request: Request, error: UnicodeEncodeError) -> JSONResponse:
        reason = (
            "a text with a lone surrogate. Expected: valid Unicode. What to do: remove the"
            " character, such as \\ud800, and send the request again"
        )
        return self._answer(request, 400, reason)

    async def fault(self, request: Request, error: Exception) -> JSONResponse:
        """The answer to a fault of Zeus: a number that stands in the log too."""
        number = secrets.token_hex(4)
        logger.error("fault %s, %s %s", number, request.method, request.url.path, exc_info=error)
        detail = f"a fault of Zeus, number {number}. What to do: tell the server's owner the number"
        return AsciiJSONResponse({"detail": detail}, status_code=500)


class FaultAnswers:
    """ASGI middleware that answers every error without a handler.

    Starlette calls a handler of Exception outside all middleware, where no header is added to its
    answer, and raises the error again.
    """

    def __init__(self, app: ASGIApp, *, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        has_begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception as error:
            if has_begun or scope["type"] != "http":
                raise
            answer = await self._faults.fault(Request(scope), error)
            await answer(scope, receive, send)
