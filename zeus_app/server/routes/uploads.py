"""PUT /datastore: images, labels and info from clients.

The stock routes fail on a form that is not JSON. They also forget an uploaded file's name, which
says the sequence.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, File, Form, UploadFile
from monailabel.endpoints import datastore as stock
from monailabel.endpoints.user.auth import User

from zeus_app.labels.versions import FINAL
from zeus_app.server.routes.forms import json_object
from zeus_app.server.routes.guards import GuardedApp
from zeus_app.server.routes.roles import ANNOTATOR
from zeus_app.server.routes.saved_upload import saved_upload

Annotator = Annotated[User, ANNOTATOR]
Text = Annotated[str, Form()]
Upload = Annotated[UploadFile, File()]


def upload_routes(app: Callable[[], GuardedApp]) -> APIRouter:
    """Routes that replace MONAI Label's own.

    Args:
        app: returns the running app.
    """
    router = APIRouter(prefix="/datastore", tags=["Datastore"])
    _add_image(router, app)
    _add_label(router, app)
    _add_info(router)
    return router


def _add_image(router: APIRouter, app: Callable[[], GuardedApp]) -> None:
    @router.put("/image")
    @router.put("/", include_in_schema=False)
    def add_image(
        user: Annotator, file: Upload, image: str | None = None, params: Text = "{}"
    ) -> dict[str, str]:
        """Save an image as a study of one sequence."""
        info = {**json_object(params), "user": user.username}
        with saved_upload(file, default_name="image.nii.gz") as path:
            return {"image": app().datastore().add_image(image, str(path), info)}


def _add_label(router: APIRouter, app: Callable[[], GuardedApp]) -> None:
    @router.put("/label")
    def save_label(
        background_tasks: BackgroundTasks,
        user: Annotator,
        image: str,
        label: Upload,
        params: Text = "{}",
        tag: str = FINAL,
    ) -> Any:
        """Add a version of a study's label."""
        json_object(params)  # raises InputError where the stock route would fail with status 500
        saved = stock.save_label(background_tasks, image, params, tag, label, user.username)
        if tag in (FINAL, ""):
            app().context.encode_labelled(saved["label"])
            app().context.learning.submit(saved["label"])
        return saved


def _add_info(router: APIRouter) -> None:
    @router.put("/image/info")
    def update_image_info(user: Annotator, image: str, info: Text = "{}") -> Any:
        """Add to the info stored with a study."""
        json_object(info)
        return stock.update_image_info(image, info, user.username)

    @router.put("/label/info")
    def update_label_info(user: Annotator, label: str, tag: str, info: Text = "{}") -> Any:
        """Add to the info stored with a label."""
        json_object(info)
        return stock.update_label_info(label, tag, info, user.username)

    @router.put("/updatelabelinfo", include_in_schema=False)
    def update_label_info_by_params(
        user: Annotator, label: str, tag: str, params: Text = "{}"
    ) -> Any:
        """Do the same under the path and field name of older clients."""
        return update_label_info(user, label, tag, params)
