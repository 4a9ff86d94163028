"""POST /activelearning and POST /scoring: the study to label next, and scores of predictions."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from monailabel.endpoints import activelearning, scoring

from zeus_app.errors import InputError
from zeus_app.server.routes.guards import (
    GuardedApp,
    Params,
    refuse_overwriting,
    refuse_unknown,
)
from zeus_app.server.routes.roles import ANNOTATOR, USER


def active_learning_routes(app: Callable[[], GuardedApp]) -> APIRouter:
    """Routes that replace MONAI Label's own.

    Args:
        app: returns the running app; POST /reload may replace it.
    """
    router = APIRouter()

    @router.post("/activelearning/{strategy}", tags=["ActiveLearning"], dependencies=[USER])
    def sample(strategy: str, params: Params = None) -> Any:
        """Choose the next study to label; an empty object if all studies are labelled."""
        refuse_unknown(strategy, "strategy", app())
        request = refuse_overwriting(params or {}, {"strategy": strategy})
        study = _sample(strategy, request, app)
        if study:
            ctx = app().context
            ctx.encode_opened(ctx.datastore.catalogue.resolve(study["id"]))
        return study

    @router.post("/scoring/{method}", tags=["Scoring"], dependencies=[ANNOTATOR])
    def score(method: str, params: Params = None, run_sync: bool = False) -> Any:
        """Score predictions against final labels."""
        refuse_unknown(method, "scoring method", app())
        request = refuse_overwriting(params or {}, {"method": method})
        return scoring.run_method(method, request, run_sync)

    return router


def _sample(strategy: str, request: dict[str, Any], app: Callable[[], GuardedApp]) -> Any:
    """Choose a study; choose again if the chosen one cannot be used and so left the list."""
    catalogue = app().context.datastore.catalogue
    while True:
        listed = len(catalogue.studies)
        try:
            return activelearning.sample(strategy, request, None)
        except InputError:
            if len(catalogue.studies) == listed:
                raise
