"""GET /zeus/learning: what learning after each case does, and what became of the last cases."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter

from zeus_app.server.context import ServerContext
from zeus_app.server.routes.roles import USER


def learning_routes(context: Callable[[], ServerContext]) -> APIRouter:
    """The route /learning."""
    router = APIRouter()

    @router.get("/learning", dependencies=[USER])
    def learning() -> dict[str, Any]:
        """State, queue and newest results of learning after each case."""
        return context().learning.as_json()

    return router
