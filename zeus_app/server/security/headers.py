"""Headers that tell browsers what the answers of this server may do."""

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: under it a browser sends "Origin: null" with forms of the server's own pages.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_CDN = "https://cdn.jsdelivr.net"
_DATA = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'self'"
)
_VIEWER = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:;"
    " worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " font-src 'self' data:; connect-src 'self' data: blob:; object-src 'none'; base-uri 'self';"
    " frame-ancestors 'self'"
)
_API_PAGES = (
    f"default-src 'self'; script-src 'self' 'unsafe-inline' {_CDN}; worker-src 'self' blob:;"
    f" style-src 'self' 'unsafe-inline' {_CDN} https://fonts.googleapis.com;"
    " font-src https://fonts.gstatic.com; img-src 'self' data: https://fastapi.tiangolo.com"
    " https://cdn.redoc.ly; object-src 'none'; base-uri 'none'; frame-ancestors 'self'"
)
POLICIES: Mapping[str, str] = {
    "/ohif": _VIEWER, "/static/ohif": _VIEWER, "/docs": _API_PAGES,
}  # fmt: skip
"""Beginning of a path -> its Content-Security-Policy.

OHIF needs WebAssembly, workers from blobs, and code that its bundles write. The pages about the API
are FastAPI's. All other answers are pages of Zeus, or data.
"""
_CACHED = ("/ohif", "/static")


class SecurityHeaders:
    """ASGI middleware that adds headers to each answer, unless the answer has them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_page = headers.get("content-type", "").startswith("text/html")
                for name, value in headers_of(scope["path"], is_page=is_page).items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def headers_of(path: str, *, is_page: bool) -> dict[str, str]:
    """The headers of an answer by its path, and by whether it is HTML."""
    policy = next(
        (policy for start, policy in POLICIES.items() if _is_below(path, start)),
        _PAGE if is_page else _DATA,
    )
    if path == "/":  # the page about the API
        policy = _API_PAGES
    is_cached = any(_is_below(path, start) for start in _CACHED)
    cache = {} if is_cached else {"Cache-Control": "no-store"}
    return {**_ALWAYS, **cache, "Content-Security-Policy": policy}


def _is_below(path: str, start: str) -> bool:
    return path == start or path.startswith(f"{start}/")
