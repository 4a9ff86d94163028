"""Routes of interactive segmentation: uploads of masks, and a user's prompts so far."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, UploadFile
from monailabel.endpoints.user.auth import User

from zeus_app.server.context import ServerContext
from zeus_app.server.interactive.click_history import prompts_as_json
from zeus_app.server.interactive.initial_masks import save_upload
from zeus_app.server.routes.roles import ANNOTATOR, USER, logged_in
from zeus_app.server.routes.saved_upload import saved_upload


def click_routes(context: Callable[[], ServerContext]) -> APIRouter:
    """The routes under /zeus/clicks.

    Args:
        context: gives the running app's context.
    """
    router = APIRouter(prefix="/zeus/clicks", tags=["Zeus"])

    @router.get("/{study}")
    def prompts(who: Annotated[User, USER], study: str, user: str = "anonymous") -> dict[str, Any]:
        """A user's points and boxes on a study so far, in voxels of `sequence`."""
        ctx, user = context(), logged_in(who).get("user", user)
        steps = ctx.click_history.steps(user, ctx.datastore.catalogue.resolve(study).study)
        return {
            "study": study,
            "user": user,
            "steps": len(steps),
            "sequence": steps[-1].sequence if steps else "",
            "clicks": prompts_as_json(steps[-1]) if steps else {},
        }

    @router.put("/{study}/{kind}")
    def upload(
        who: Annotated[User, ANNOTATOR],
        study: str,
        kind: Literal["scribbles", "initial_mask", "prior"],
        file: Annotated[UploadFile, File()],
        user: str = "anonymous",
    ) -> dict[str, str]:
        """Save scribbles (2 outside the label, 3 on it) or an initial mask.

        `prior` is the deprecated name of `initial_mask`.
        """
        ctx, user = context(), logged_in(who).get("user", user)
        resolved = ctx.datastore.catalogue.resolve(study)
        with saved_upload(file, default_name=f"{kind}.nii.gz") as path:
            save_upload(ctx, user, resolved, kind, path)
        return {"study": resolved.study, "user": user, "kept": kind}

    return router
