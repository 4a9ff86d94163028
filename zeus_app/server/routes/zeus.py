"""Routes that MONAI Label has no words for: studies, progress, versions of labels and weights."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import FileResponse
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.utils.async_tasks.utils import processes

from zeus_app.describe import describe as modules_of
from zeus_app.errors import InputError
from zeus_app.labels.versions import FINAL, LabelVersion
from zeus_app.profiles import load_profile
from zeus_app.server.context import ServerContext
from zeus_app.server.jobs.train_progress import read_progress
from zeus_app.types import StudyFiles

USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
ANNOTATOR = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))
ADMIN = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))


def logged_in(user: User) -> dict[str, str]:
    """What overrides whom a request says it is from: who logged in, where one has to."""
    return {"user": user.username} if settings.MONAI_LABEL_AUTH_ENABLE else {}


def zeus_routes(context: Callable[[], ServerContext]) -> APIRouter:
    """The routes under /zeus.

    Args:
        context: gives the running app's; POST /reload may replace it.
    """
    router = APIRouter(prefix="/zeus", tags=["Zeus"])
    _add_studies(router, context)
    _add_progress(router, context)
    _add_preparation(router, context)
    _add_labels(router, context)
    _add_checkpoints(router, context)
    return router


def _add_studies(router: APIRouter, context: Callable[[], ServerContext]) -> None:
    @router.get("/studies", dependencies=[USER])
    def studies(refresh: bool = False) -> dict[str, Any]:
        """Studies with their sequences, and what was found that cannot be used."""
        store = context().datastore
        if refresh:
            store.refresh()
        labelled = set(store.get_labeled_images())
        return {
            "studies": {
                name: {"labelled": name in labelled, "sequences": _files(files)}
                for name, files in store.catalogue.studies.items()
            },
            "problems": [
                {"study": one.id, "files": list(map(str, one.files)), "reason": one.reason}
                for one in store.problems
            ],
        }

    @router.get("/describe", dependencies=[USER])
    def describe() -> list[dict[str, Any]]:
        """The model's modules: which learn, how many parameters, how much memory."""
        ctx = context()
        profile = load_profile(ctx.config.profile)
        return [vars(module) for module in modules_of(ctx.config, profile, ctx.target)]


def _add_progress(router: APIRouter, context: Callable[[], ServerContext]) -> None:
    @router.get("/progress", dependencies=[USER])
    def progress() -> dict[str, Any]:
        """Running and waiting inferences, what is prepared, and where the last training is."""
        ctx = context()
        training = read_progress(ctx.state.training)
        running = bool(processes("train"))
        return {
            "inference": ctx.jobs.as_json(),
            "preparing": ctx.background_encoder.as_json(),
            "training": {"running": running, **training} if training else {"running": running},
        }

    @router.delete("/infer/{study}", dependencies=[USER])
    def cancel(study: str) -> dict[str, Any]:
        """Cancel the inferences of a study; their requests end with 409."""
        return {"study": study, "cancelled": context().jobs.cancel(study)}


def _add_preparation(router: APIRouter, context: Callable[[], ServerContext]) -> None:
    @router.post("/studies/{study}/prepare", dependencies=[USER], status_code=202)
    def prepare(study: str, slices: str = "") -> dict[str, Any]:
        """Encode a study in the background, these axial slices first, such as 12,13.

        They are counted from the feet, on the canonical grid, as in an answer's instructions.
        """
        ctx = context()
        ctx.encode(ctx.datastore.catalogue.resolve(study), first=_numbers(slices))
        return {"preparing": ctx.background_encoder.as_json()}


def _numbers(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(word.isdecimal() for word in words):
        raise InputError(
            f"slices {text!r}", expected="numbers and commas, such as 12,13", remedy="correct it"
        )
    return tuple(map(int, words))


def _add_labels(router: APIRouter, context: Callable[[], ServerContext]) -> None:
    @router.get("/labels/{study}", dependencies=[USER])
    def versions(study: str, tag: str = FINAL) -> dict[str, Any]:
        """Every version of a study's label, the oldest first; the last one counts."""
        store = context().datastore
        store.catalogue.resolve(study)
        history = store.history.versions(study, tag)
        return {"study": study, "tag": tag, "versions": [_version(one) for one in history]}

    @router.post("/labels/{study}/restore", dependencies=[ANNOTATOR])
    def restore(study: str, version: int, tag: str = FINAL) -> dict[str, Any]:
        """Let an older version count again, as a new one."""
        store = context().datastore
        store.catalogue.resolve(study)
        return {"study": study, "tag": tag, **_version(store.history.restore(study, tag, version))}

    @router.get("/originals/{study}", dependencies=[USER])
    def original(study: str) -> dict[str, Any]:
        """What Zeus's newest answer to a study said, and the checkpoint behind it."""
        store = context().datastore
        store.predictions.mask(study)  # says so when there is none
        found = store.predictions.find(study)
        return dict(found.params) if found else {}

    @router.get("/originals/{study}/mask", dependencies=[USER])
    def mask(study: str, sequence: str = "") -> FileResponse:
        """The mask of Zeus's newest answer: the union, or one sequence's own."""
        path = context().datastore.predictions.mask(study, sequence)
        return FileResponse(path, media_type="application/gzip", filename=path.name)


def _add_checkpoints(router: APIRouter, context: Callable[[], ServerContext]) -> None:
    @router.get("/checkpoints", dependencies=[USER])
    def checkpoints() -> dict[str, Any]:
        """All versions of the weights, the oldest first, and the one that answers."""
        kept = context().checkpoints
        served = kept.served()
        return {
            "served": served.version if served else "untrained",
            "checkpoints": [vars(info) for info in kept.versions()],
        }

    @router.post("/checkpoints/{version}/serve", dependencies=[ADMIN])
    def serve(version: str) -> dict[str, str]:
        """Answer with this version from the next inference on.

        "untrained" is one, and so is "running": the best of the training that runs or was stopped.
        """
        return {"served": context().checkpoints.serve(version)}


def _files(study: StudyFiles) -> dict[str, list[str]]:
    return {name: list(map(str, source.files)) for name, source in study.sources.items()}


def _version(version: LabelVersion) -> dict[str, Any]:
    return {"version": version.number, "removed": version.removed, "info": dict(version.info)}
