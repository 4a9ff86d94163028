"""Routes for checkpoints: the versions of the trained weights."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter

from zeus_app.server.context import ServerContext
from zeus_app.server.routes.roles import ADMIN, USER


def checkpoint_routes(context: Callable[[], ServerContext]) -> APIRouter:
    """The routes under /checkpoints."""
    router = APIRouter()

    @router.get("/checkpoints", dependencies=[USER])
    def checkpoints() -> dict[str, Any]:
        """List the versions of the weights, the oldest first, and the served one.

        "unusable" lists versions whose files are damaged or foreign, with the reasons.
        """
        ctx = context()
        return {
            "served": ctx.served_version,
            "checkpoints": [vars(info) for info in ctx.checkpoints.versions()],
            "unusable": [vars(version) for version in ctx.checkpoints.unusable()],
        }

    @router.post("/checkpoints/{version}/serve", dependencies=[ADMIN])
    def serve(version: str) -> dict[str, str]:
        """Use this version from the next inference on.

        "untrained" is a version too. "running" is the best state so far of the training that runs
        or was stopped.
        """
        return {"served": context().checkpoints.serve(version)}

    return router
