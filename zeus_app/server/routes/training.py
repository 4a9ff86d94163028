"""POST /train: learn from the submitted labels."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from monailabel.utils.async_tasks.utils import processes

from zeus_app.server.routes.forms import JSON_BODY, Params
from zeus_app.server.routes.guards import GuardedApp, refuse_overwriting, refuse_unknown
from zeus_app.server.routes.roles import ADMIN
from zeus_app.server.routes.tasks import answer_of, params_by_name
from zeus_app.server.tasks.parameters import TRAINING, read_parameters
from zeus_app.settings.registry import lookup
from zeus_app.training.checkpoint import TRAINING as TRAINS


def training_routes(app: Callable[[], GuardedApp]) -> APIRouter:
    """Routes that replace MONAI Label's own.

    Args:
        app: returns the running app.
    """
    router = APIRouter(tags=["Train"], dependencies=[ADMIN])

    def check(model: str, params: dict[str, Any]) -> dict[str, Any]:
        """Refuse a request whose training would fail; returns its known parameters."""
        running = app()
        running.context.look_at_once()  # a label may have come to the PACS a moment ago
        trainer = lookup("trainer", model, running.tasks("trainer"))
        trainer.check(refuse_overwriting(params, {"model": model}))
        request = read_parameters(params, TRAINING, task="training")
        if not processes("train"):  # /zeus/progress shows the previous training until it starts
            running.context.checkpoints.lock.refuse_if_held(TRAINS)
            running.context.state.training.unlink(missing_ok=True)
        running.context.background_encoder.leave_to_training()
        return {**request, "model": model}

    @router.post("/train/{model}", openapi_extra=JSON_BODY)
    async def run(model: str, params: Params, run_sync: bool = False, enqueue: bool = False) -> Any:
        """Train on the submitted labels, in a process of its own.

        With run_sync the answer comes at the end of the training; no other request is blocked.
        """
        request = await run_in_threadpool(check, model, params)
        return await answer_of("train", request, run_sync=run_sync, enqueue=enqueue)

    @router.post("/train/", include_in_schema=False)
    async def run_all(params: Params, run_sync: bool = False) -> dict[str, Any]:
        """Run every trainer of the server, or the one that `model` names.

        Parameters are given by trainer name, or at the top for all trainers.
        """
        names = tuple(app().tasks("trainer"))
        if params.get("model") is not None:
            refuse_unknown(str(params["model"]), "trainer", app())
            names = (str(params["model"]),)
        by_name = params_by_name(params, names)
        requests = {name: await run_in_threadpool(check, name, by_name[name]) for name in names}
        return {
            name: {
                "result": await answer_of("train", request, run_sync=run_sync, enqueue=True),
                "detail": None,
            }
            for name, request in requests.items()
        }

    return router
