"""MONAI Label's routes that take images, labels and notes from clients, guarded.

The stock ones fail on a form that is no JSON, and forget what an uploaded file was called, which
is what tells its sequence.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, File, Form, UploadFile
from monailabel.config import settings
from monailabel.endpoints import datastore as stock
from monailabel.endpoints.user.auth import RBAC, User

from zeus_app.labels.versions import FINAL
from zeus_app.server.routes.forms import json_object
from zeus_app.server.routes.guards import GuardedApp
from zeus_app.server.routes.saved_upload import saved_upload

Annotator = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))]
Text = Annotated[str, Form()]
Upload = Annotated[UploadFile, File()]


def upload_routes(app: Callable[[], GuardedApp]) -> APIRouter:
    """Routes that stand before MONAI Label's own.

    Args:
        app: gives the running app; POST /reload may replace it.
    """
    router = APIRouter(prefix="/datastore", tags=["Datastore"])
    _add_image(router, app)
    _add_label(router)
    _add_notes(router)
    return router


def _add_image(router: APIRouter, app: Callable[[], GuardedApp]) -> None:
    @router.put("/image")
    @router.put("/", include_in_schema=False)
    def add_image(
        user: Annotator, file: Upload, image: str | None = None, params: Text = "{}"
    ) -> dict[str, str]:
        """Keep an image as a study of one sequence."""
        info = {**json_object(params), "user": user.username}
        with saved_upload(file, default_name="image.nii.gz") as path:
            return {"image": app().datastore().add_image(image, str(path), info)}


def _add_label(router: APIRouter) -> None:
    @router.put("/label")
    def save_label(
        background_tasks: BackgroundTasks,
        user: Annotator,
        image: str,
        label: Upload,
        params: Text = "{}",
        tag: str = FINAL,
    ) -> Any:
        """Add a version to a study's label."""
        json_object(params)
        return stock.save_label(background_tasks, image, params, tag, label, user.username)


def _add_notes(router: APIRouter) -> None:
    @router.put("/image/info")
    def note_image(user: Annotator, image: str, info: Text = "{}") -> Any:
        """Note something about a study."""
        json_object(info)
        return stock.update_image_info(image, info, user.username)

    @router.put("/label/info")
    def note_label(user: Annotator, label: str, tag: str, info: Text = "{}") -> Any:
        """Note something about a label."""
        json_object(info)
        return stock.update_label_info(label, tag, info, user.username)

    @router.put("/updatelabelinfo", include_in_schema=False)
    def note_label_as_before(user: Annotator, label: str, tag: str, params: Text = "{}") -> Any:
        """The same, as older clients ask."""
        return note_label(user, label, tag, params)
