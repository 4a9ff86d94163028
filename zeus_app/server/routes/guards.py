"""Checks on requests to MONAI Label's own routes, before any work begins.

The stock routes let a body's params overwrite the model or image of the address, and answer an
unknown name with a missing page. Their handlers are `async def` around synchronous work, so that
one long request blocks all others. Zeus's versions of these routes work in threads or wait for
processes, and they call the checks in this module first.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.server.context import ServerContext
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.settings.registry import lookup

_ADDRESS_KEYS = ("model", "image", "images", "method", "strategy", "session", "session_id")


class GuardedApp(Protocol):
    """The parts of the MONAI Label app that routes use; apps/ cannot be imported from here."""

    context: ServerContext

    def info(self) -> dict[str, Any]:
        """What a client reads when it connects."""

    def infer_image(self, request: Mapping[str, Any], resolved: ResolvedImage) -> dict[str, Any]:
        """Run an inference task on an image."""

    def tasks(self, kind: str) -> Mapping[str, Any]:
        """Name -> task of a kind: "model", "trainer", "strategy" or "scoring method"."""

    def sessions(self) -> Any:
        """MONAI Label's client sessions."""

    def datastore(self) -> Any:
        """MONAI Label's datastore."""


def refuse_unknown(name: str, kind: str, app: GuardedApp) -> None:
    """Refuse an unknown strategy or scoring method with status 400.

    A 404 would look to stock clients like a missing page.
    """
    try:
        lookup(kind, name, app.tasks(kind))
    except UnknownNameError as error:
        raise InputError(error.came, expected=error.expected, remedy=error.remedy) from error


def refuse_overwriting(params: dict[str, Any], address: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse params that contradict the request's address; returns the params.

    Args:
        params: of the request's body.
        address: name -> value of what the address sets.

    Raises:
        InputError: names the param.
    """
    for key in _ADDRESS_KEYS:
        if key in params and params[key] != address.get(key):
            raise InputError(
                f"params that set {key!r} to {str(params[key])[:80]!r}",
                expected=f"{key} in the request's address alone",
                remedy=f"take {key} out of params",
            )
    return params
