"""Routes for progress: what runs and waits, and how to cancel it."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from monailabel.utils.async_tasks.utils import processes

from zeus_app.server.context import ServerContext
from zeus_app.server.jobs.train_progress import read_progress
from zeus_app.server.routes.roles import USER


def progress_routes(context: Callable[[], ServerContext]) -> APIRouter:
    """GET /progress and DELETE /infer/{study}."""
    router = APIRouter()

    @router.get("/progress", dependencies=[USER])
    def progress() -> dict[str, Any]:
        """Inferences that run or wait, studies in background encoding, and the last training."""
        ctx = context()
        training = read_progress(ctx.state.training)
        running = bool(processes("train"))
        return {
            "inference": ctx.jobs.as_json(),
            "preparing": ctx.background_encoder.as_json(),
            "training": {"running": running, **training} if training else {"running": running},
        }

    @router.delete("/infer/{study}", dependencies=[USER])
    def cancel(study: str) -> dict[str, Any]:
        """Cancel the inferences of a study; their requests end with status 409."""
        return {"study": study, "cancelled": context().jobs.cancel(study)}

    return router
