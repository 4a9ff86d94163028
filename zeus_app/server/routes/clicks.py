"""Routes around clicks: masks to start from, and what was said so far."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, UploadFile
from monailabel.endpoints.user.auth import User

from zeus_app.server.context import ServerContext
from zeus_app.server.interactive.click_history import as_json
from zeus_app.server.interactive.initial_masks import keep_upload
from zeus_app.server.routes.saved_upload import saved_upload
from zeus_app.server.routes.zeus import ANNOTATOR, USER, logged_in


def click_routes(context: Callable[[], ServerContext]) -> APIRouter:
    """The routes under /zeus/clicks.

    Args:
        context: gives the running app's; POST /reload may replace it.
    """
    router = APIRouter(prefix="/zeus/clicks", tags=["Zeus"])

    @router.get("/{study}")
    def said(who: Annotated[User, USER], study: str, user: str = "anonymous") -> dict[str, Any]:
        """What a user has said of a study so far, in voxels of `sequence`."""
        ctx, user = context(), logged_in(who).get("user", user)
        steps = ctx.click_history.steps(user, ctx.datastore.catalogue.resolve(study).study)
        newest = steps[-1] if steps else None
        return {
            "study": study,
            "user": user,
            "steps": len(steps),
            "sequence": newest.sequence if newest else "",
            "clicks": as_json(newest),
        }

    @router.put("/{study}/{kind}")
    def upload(
        who: Annotated[User, ANNOTATOR],
        study: str,
        kind: Literal["scribbles", "prior"],
        file: Annotated[UploadFile, File()],
        user: str = "anonymous",
    ) -> dict[str, str]:
        """Keep scribbles (2 beside the label, 3 on it), or a mask to start from."""
        ctx, user = context(), logged_in(who).get("user", user)
        resolved = ctx.datastore.catalogue.resolve(study)
        with saved_upload(file, default_name=f"{kind}.nii.gz") as path:
            keep_upload(ctx, user, resolved, kind, path)
        return {"study": resolved.study, "user": user, "kept": kind}

    return router
