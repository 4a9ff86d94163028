"""GET /info and GET /datastore: a client connects, and new studies are found.

The stock routes work on the event loop, where a search for studies would block every request.
"""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from monailabel.endpoints import datastore as stock

from zeus_app.server.routes.guards import GuardedApp
from zeus_app.server.routes.roles import USER


def connect_routes(app: Callable[[], GuardedApp]) -> APIRouter:
    """Routes that replace MONAI Label's own.

    Args:
        app: returns the running app.
    """
    router = APIRouter(dependencies=[USER])

    @router.get("/info/", tags=["App"])
    def info() -> dict[str, Any]:
        """The models, labels and settings of the server, and the number of its studies."""
        app().context.look()
        return app().info()

    @router.get("/datastore/", tags=["Datastore"])
    def datastore(output: stock.ResultType | None = None) -> Any:
        """Numbers of studies and labels; with output, all studies or the labelled ones."""
        app().context.look()
        return stock.datastore(output)

    return router
