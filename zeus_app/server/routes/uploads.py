"""PUT /datastore: images, labels and info from clients.

The stock routes fail on a form that is not JSON. They also forget an uploaded file's name, which
says the sequence, and they leave a refused label behind.
"""

import logging
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, UploadFile
from monailabel.endpoints import datastore as stock
from monailabel.endpoints.user.auth import User

from zeus_app.labels.versions import FINAL
from zeus_app.server.routes.forms import json_object
from zeus_app.server.routes.guards import GuardedApp
from zeus_app.server.routes.roles import ANNOTATOR, logged_in
from zeus_app.server.routes.saved_upload import saved_upload

logger = logging.getLogger(__name__)
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
        user: Annotator,
        image: str,
        label: Upload,
        params: Text = "{}",
        tag: str = "",
    ) -> dict[str, str]:
        """Add a version of a study's label.

        Without a tag it is final, or a draft if it has a segment called "draft". A draft is not
        learned from, and a final label ends it.
        """
        info, store = {**json_object(params), **logged_in(user)}, app().datastore()
        with saved_upload(label, default_name="label.nii.gz") as path:
            study, tag = store.submit(image, path, tag, info)
        logger.info("label of %s, tag %s, by %s", study, tag, user.username)
        if tag == FINAL:
            app().context.use_label(study)
            app().context.results.after_label(study)
        return {"image": image, "label": study, "tag": tag}


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
