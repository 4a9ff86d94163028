"""POST /activelearning and POST /scoring: the study to label next, and scores of predictions."""

import time
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter

from zeus_app.errors import BusyError, InputError
from zeus_app.server.routes.forms import JSON_BODY, Params
from zeus_app.server.routes.guards import GuardedApp, refuse_overwriting, refuse_unknown
from zeus_app.server.routes.roles import ANNOTATOR, USER
from zeus_app.server.routes.tasks import answer_of, params_by_name
from zeus_app.server.tasks.parameters import SCORING, STRATEGY, read_parameters
from zeus_app.server.tasks.strategies import REFERENCE, SEQUENCE

LONGEST_S = 20.0
"""How long one request opens study after study. Those that cannot be used leave the list."""


def active_learning_routes(app: Callable[[], GuardedApp]) -> APIRouter:
    """Routes that replace MONAI Label's own.

    Args:
        app: returns the running app.
    """
    router = APIRouter()

    @router.post(
        "/activelearning/{strategy}",
        tags=["ActiveLearning"],
        dependencies=[USER],
        openapi_extra=JSON_BODY,
    )
    def sample(strategy: str, params: Params) -> dict[str, Any]:
        """Choose the next study to label; an empty object if all studies are labelled.

        A study that has been copied into the studies folder meanwhile counts.
        """
        refuse_unknown(strategy, "strategy", app())
        refuse_overwriting(params, {"strategy": strategy})
        request = read_parameters(params, STRATEGY, task="strategy")
        app().context.look()
        study = _sample(strategy, request, app())
        if study:
            ctx = app().context
            ctx.encode_opened(ctx.datastore.catalogue.resolve(study["id"]))
        return study

    @router.post(
        "/scoring/{method}", tags=["Scoring"], dependencies=[ANNOTATOR], openapi_extra=JSON_BODY
    )
    async def score(method: str, params: Params, run_sync: bool = False) -> Any:
        """Score predictions against final labels, in a process of its own."""
        return await answer_of("scoring", _scoring(method, params, app()), run_sync=run_sync)

    @router.post("/scoring/", dependencies=[ANNOTATOR], include_in_schema=False)
    async def score_all(params: Params, run_sync: bool = False) -> dict[str, Any]:
        """Run every scoring method; params as in POST /train/."""
        methods = tuple(app().tasks("scoring method"))
        by_name = params_by_name(params, methods)
        requests = {name: _scoring(name, by_name[name], app()) for name in methods}
        return {
            name: {
                "result": await answer_of("scoring", request, run_sync=run_sync, enqueue=True),
                "detail": None,
            }
            for name, request in requests.items()
        }

    return router


def _scoring(method: str, params: dict[str, Any], app: GuardedApp) -> dict[str, Any]:
    """The checked request of a scoring."""
    refuse_unknown(method, "scoring method", app)
    refuse_overwriting(params, {"method": method})
    return {**read_parameters(params, SCORING, task="scoring"), "method": method}


def _sample(strategy: str, request: dict[str, Any], app: GuardedApp) -> dict[str, Any]:
    """Choose a study; choose again if the chosen one cannot be used and so left the list.

    Raises:
        BusyError: no study could be used for `LONGEST_S`: a PACS may list many of other regions.
    """
    began_s = time.monotonic()
    datastore, choose = app.context.datastore, app.tasks("strategy")[strategy]
    sequence = _sequence(request.get(SEQUENCE), app)
    while True:
        listed = len(datastore.catalogue.studies)
        try:
            chosen = choose({**request, "strategy": strategy}, datastore)
            if not chosen:
                return {}
            study = chosen["id"]
            image = _image_of(study, sequence, datastore)
            info = datastore.get_image_info(image)
            datastore.record_sample(study, strategy, request.get("client_id"))
            return {"id": image, **info, "strategy": datastore.strategy_history(study)}
        except InputError:
            if len(datastore.catalogue.studies) == listed:
                raise
            if time.monotonic() > began_s + LONGEST_S:
                came = "none of the studies that were opened has a sequence of the target"
                raise BusyError(came, retry_after_s=1) from None


def _sequence(name: str | None, app: GuardedApp) -> str:
    """The sequence to open; empty for the reference. Raises InputError for an unknown one."""
    if not name or name == REFERENCE:
        return ""
    known = app.context.target.sequence_names
    if name not in known:
        raise InputError(
            f"sequence {name!r}",
            expected=f"one of {', '.join((REFERENCE, *known))}",
            remedy=f'send for example {{"{SEQUENCE}": "{known[0]}"}}',
        )
    return name


def _image_of(study: str, sequence: str, datastore: Any) -> str:
    """The id of the image to open: the reference where the study lacks the sequence."""
    has = datastore.catalogue.resolve(study).files.sources
    return f"{study}/{sequence}" if sequence in has else study
