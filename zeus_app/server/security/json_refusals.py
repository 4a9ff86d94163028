"""Refusals in plain text, as Starlette writes them for a range or a page, become JSON."""

from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class JsonRefusals:
    """ASGI middleware. A refusal keeps its status and headers, and its text becomes the reason."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        start: Message | None = None
        text = b""

        async def send_json(message: Message) -> None:
            nonlocal start, text
            if message["type"] == "http.response.start" and _is_plain_refusal(message):
                start = message
            elif start is None:
                await send(message)
            else:
                text += message.get("body", b"")
                if not message.get("more_body", False):
                    await _as_json(start, text)(scope, receive, send)

        await self._app(scope, receive, send_json)


def _is_plain_refusal(message: Message) -> bool:
    media_type = MutableHeaders(raw=list(message["headers"])).get("content-type", "")
    return 400 <= message["status"] < 500 and media_type.startswith("text/plain")


def _as_json(start: Message, text: bytes) -> JSONResponse:
    """The same answer with a JSON body."""
    headers = MutableHeaders(raw=list(start["headers"]))
    del headers["content-type"]
    del headers["content-length"]
    status = int(start["status"])
    reason = text.decode("utf-8", "replace").strip() or HTTPStatus(status).phrase
    return JSONResponse({"detail": reason}, status_code=status, headers=dict(headers))
