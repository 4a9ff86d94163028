"""Routes for labels: versions of submitted labels, and Zeus's own predictions.

MONAI Label calls a prediction "original", and so do these paths.
"""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse

from zeus_app.labels.versions import FINAL, LabelVersion
from zeus_app.server.context import ServerContext
from zeus_app.server.routes.roles import ANNOTATOR, USER


def label_routes(context: Callable[[], ServerContext]) -> APIRouter:
    """The routes under /labels and /originals."""
    router = APIRouter()
    _add_versions(router, context)
    _add_predictions(router, context)
    return router


def _add_versions(router: APIRouter, context: Callable[[], ServerContext]) -> None:
    @router.get("/labels/{study}", dependencies=[USER])
    def versions(study: str, tag: str = FINAL) -> dict[str, Any]:
        """List the versions of a study's label, the oldest first; the last one is in use."""
        store = context().datastore
        study = store.catalogue.resolve(study).study
        history = store.history.versions(study, tag)
        return {"study": study, "tag": tag, "versions": [_as_json(one) for one in history]}

    @router.post("/labels/{study}/restore", dependencies=[ANNOTATOR])
    def restore(study: str, version: int, tag: str = FINAL) -> dict[str, Any]:
        """Add a copy of an older version as the newest one."""
        store = context().datastore
        study = store.catalogue.resolve(study).study
        restored = store.history.restore(study, tag, version)
        if tag == FINAL:
            context().use_label(study)
            context().results.after_label(study)
        return {"study": study, "tag": tag, **_as_json(restored)}


def _add_predictions(router: APIRouter, context: Callable[[], ServerContext]) -> None:
    @router.get("/originals/{study}", dependencies=[USER])
    def prediction(study: str) -> dict[str, Any]:
        """The parameters of a study's newest prediction, with the checkpoint that made it."""
        store = context().datastore
        study = store.catalogue.resolve(study).study
        store.predictions.mask(study)  # raises UnknownNameError if there is none
        newest = store.predictions.newest(study)
        return dict(newest.params) if newest else {}

    @router.get("/originals/{study}/mask", dependencies=[USER])
    def mask(study: str, sequence: str = "") -> FileResponse:
        """The mask of a study's newest prediction: the union, or one sequence's own mask."""
        store = context().datastore
        path = store.predictions.mask(store.catalogue.resolve(study).study, sequence)
        return FileResponse(path, media_type="application/gzip", filename=path.name)


def _as_json(version: LabelVersion) -> dict[str, Any]:
    return {"version": version.number, "removed": version.removed, "info": dict(version.info)}
