"""The routes under /zeus, which stock MONAI Label does not have."""

from collections.abc import Callable

from fastapi import APIRouter

from zeus_app.server.context import ServerContext
from zeus_app.server.routes.checkpoints import checkpoint_routes
from zeus_app.server.routes.labels import label_routes
from zeus_app.server.routes.learning import learning_routes
from zeus_app.server.routes.progress import progress_routes
from zeus_app.server.routes.results import result_routes
from zeus_app.server.routes.segmentations import segmentation_routes
from zeus_app.server.routes.studies import study_routes


def zeus_routes(context: Callable[[], ServerContext]) -> APIRouter:
    """The routes for studies, progress, labels, checkpoints, learning and DICOM.

    Args:
        context: returns the running app's context.
    """
    router = APIRouter(prefix="/zeus", tags=["Zeus"])
    for routes in (
        study_routes, progress_routes, label_routes, checkpoint_routes, learning_routes,
        result_routes, segmentation_routes,
    ):  # fmt: skip
        router.include_router(routes(context))
    return router
