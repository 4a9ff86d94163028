"""Which requests a server answers: none from foreign web pages, none for foreign hosts.

A browser sends a page's request to 127.0.0.1 as readily as to the page's own server, so a server
that listens on loopback alone is still open to every page that its user visits.
"""

import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from zeus_app.errors import InputError
from zeus_app.server.security.listening import is_loopback

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
"""A header Host (RFC 9110, 7.2), in lower case: a name or an address, and a port."""
_SHOWN = 80  # characters of a refused header
_OWN_SITES = ("none", "same-origin")  # of Sec-Fetch-Site: the user typed the address; own page


class ForeignRequestError(InputError):
    """A request of a foreign page, for a foreign host, or from another machine."""

    status = 403


class RequestGuard:
    """ASGI middleware that refuses foreign requests with status 403.

    Args:
        app: answers the other requests.
        hosts: names and addresses under which clients reach the server, besides those of loopback
            and the address that a request arrives at. A page that rebinds its own name to
            127.0.0.1 keeps that name in the header Host.
        origins: origins of pages that may use the server, such as https://viewer.example.
        local_only: refuse what arrives at an address that other machines reach.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str] = (),
        origins: Collection[str] = (),
        local_only: bool = True,
    ) -> None:
        self._app = app
        self._hosts = frozenset(map(_name_of, hosts))
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._local_only = local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            try:
                self._refuse_foreign(scope)
            except ForeignRequestError as error:
                refusal = JSONResponse({"detail": str(error)}, status_code=error.status)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refuse_foreign(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        address, port = scope.get("server") or ("", None)
        if self._local_only and port is not None and not is_loopback(address):
            raise ForeignRequestError(
                f"a request to {address}, which other machines reach",
                expected="a request to 127.0.0.1, because this server has no login",
                remedy="start the server with --host 127.0.0.1; or with --insecure in a network"
                " that you trust",
            )
        self._refuse_foreign_host(headers, address)
        self._refuse_foreign_page(headers, method=scope["method"])

    def _refuse_foreign_host(self, headers: Headers, address: str) -> None:
        values = headers.getlist("host")
        name = _name_of(values[0]) if len(values) == 1 else ""
        if not name or not (is_loopback(name) or name in {*self._hosts, address.lower()}):
            raise ForeignRequestError(
                f"a request for the host {', '.join(values)[:_SHOWN]!r}",
                expected="the address of this server, or a host that allowed_hosts names",
                remedy="start the server for example with"
                " --set allowed_hosts=zeus.hospital.example",
            )

    def _refuse_foreign_page(self, headers: Headers, *, method: str) -> None:
        """Refuse a request by its Origin, or by Sec-Fetch-Site (Fetch Metadata, W3C).

        A browser sends an Origin with whatever may change something, and with what a script may
        read. Pictures, frames and scripts have none, but Sec-Fetch-Site. A link of another page
        may open a page of this server.
        """
        host = headers["host"].lower()
        own = {f"http://{host}", f"https://{host}", *self._origins}
        origins = [origin.lower() for origin in headers.getlist("origin")]
        site = headers.get("sec-fetch-site", "none")
        if origins:
            is_foreign = not own.issuperset(origins)
        else:
            is_foreign = site not in _OWN_SITES and not _is_link(headers, method)
        if is_foreign:
            shown = ", ".join(origins)[:_SHOWN] if origins else site
            raise ForeignRequestError(
                f"a request of another web page ({shown})",
                expected="pages of this server, or of an origin that allowed_origins names",
                remedy="start the server for example with"
                " --set allowed_origins=https://viewer.hospital.example",
            )


def _name_of(host: str) -> str:
    """The name or address in a header Host, in lower case; empty if it is no such header."""
    match = _HOST.fullmatch(host.lower())
    return match[1].strip("[]") if match else ""


def _is_link(headers: Headers, method: str) -> bool:
    return (
        method == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
