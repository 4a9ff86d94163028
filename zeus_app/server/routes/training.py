"""POST /train: learn from the submitted labels."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from monailabel.endpoints import train
from monailabel.utils.async_tasks.utils import processes

from zeus_app.server.routes.guards import GuardedApp, Params, refuse_overwriting
from zeus_app.server.routes.roles import ADMIN
from zeus_app.settings.registry import lookup


def training_routes(app: Callable[[], GuardedApp]) -> APIRouter:
    """Routes that replace MONAI Label's own.

    Args:
        app: returns the running app; POST /reload may replace it.
    """
    router = APIRouter(tags=["Train"], dependencies=[ADMIN])

    @router.post("/train/{model}")
    def run(
        model: str, params: Params = None, run_sync: bool = False, enqueue: bool = False
    ) -> Any:
        """Train on the submitted labels, in a process of its own unless run_sync is set."""
        request = refuse_overwriting(params or {}, {"model": model})
        running = app()
        lookup("trainer", model, running.tasks("trainer")).check(request)
        if not processes(
            "train"
        ):  # else /zeus/progress shows the previous training until it starts
            running.context.state.training.unlink(missing_ok=True)
        running.context.background_encoder.leave_to_training()
        return train.run_model(model, request, run_sync, enqueue)

    @router.post("/train/", include_in_schema=False)
    def run_all(params: Params = None, run_sync: bool = False) -> dict[str, Any]:
        """Run every trainer of the server; params are given by trainer name."""
        return {
            model: {"result": run(model, (params or {}).get(model), run_sync), "detail": None}
            for model in app().tasks("trainer")
        }

    return router
