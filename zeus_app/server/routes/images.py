"""GET /datastore/image: a client opens a study, and its encoding begins.

The stock route reads, writes and converts files on the event loop, where it blocks every request.
"""

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import FileResponse
from monailabel.utils.others.generic import get_mime_type

from zeus_app.server.routes.guards import GuardedApp
from zeus_app.server.routes.roles import USER


def image_routes(app: Callable[[], GuardedApp]) -> APIRouter:
    """Routes that replace MONAI Label's own.

    Args:
        app: returns the running app.
    """
    router = APIRouter()

    @router.get("/datastore/image", tags=["Datastore"], dependencies=[USER])
    def download_image(image: str) -> FileResponse:
        """Download a study's reference volume, or the named sequence."""
        ctx = app().context
        resolved = ctx.datastore.catalogue.resolve(image)
        path = ctx.datastore.catalogue.volume_file(resolved)
        ctx.encode_opened(resolved)
        return FileResponse(path, media_type=get_mime_type(str(path)), filename=path.name)

    return router
