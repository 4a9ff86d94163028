"""MONAI Label's own routes, where they need a check, a better answer, or a thread.

Stock routes are `async def` around synchronous work: one long request blocks all others. These are
plain functions, which FastAPI runs in threads, and they refuse bad requests before work begins.
Inferences have threads of their own, so that however many wait, the others find one.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, BackgroundTasks, Body, File, Form, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from monailabel.endpoints import activelearning, batch_infer, scoring, train
from monailabel.endpoints.infer import ResultType, send_response
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.tasks.batch_infer import BatchInferImageType
from monailabel.utils.async_tasks.utils import processes

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.server.context import ServerContext
from zeus_app.server.jobs.single_flight import SingleFlight
from zeus_app.server.routes.forms import json_object
from zeus_app.server.routes.saved_upload import saved_upload
from zeus_app.server.routes.zeus import ADMIN, ANNOTATOR, USER, logged_in
from zeus_app.server.studies.catalogue import ResolvedImage
from zeus_app.settings.registry import lookup

Params = Annotated[dict[str, Any] | None, Body()]
_FOR_REFUSALS = 4  # threads, beside those of the one that runs and of those that may wait
_SAYS_WHAT_RUNS = ("model", "image", "images", "method", "strategy", "session", "session_id")


class GuardedApp(Protocol):
    """What the guards need of the MONAI Label app."""

    context: ServerContext

    def infer_image(self, request: Mapping[str, Any], resolved: ResolvedImage) -> dict[str, Any]:
        """Run an inference task on an image."""

    def tasks(self, kind: str) -> Mapping[str, Any]:
        """Name -> task of a kind: model, trainer, strategy or scoring method."""

    def sessions(self) -> Any:
        """The client sessions."""

    def datastore(self) -> Any:
        """The studies."""


def guarded_routes(app: Callable[[], GuardedApp]) -> APIRouter:
    """Routes that stand before MONAI Label's own.

    Args:
        app: gives the running app; POST /reload may replace it.
    """
    router = APIRouter()
    _add_infer(router, app)
    _add_batch_infer(router, app)
    _add_train(router, app)
    _add_next_and_score(router, app)
    return router


def _add_infer(router: APIRouter, app: Callable[[], GuardedApp]) -> None:
    waiting = app().context.config.waiting  # of clicks, and of inferences
    flight = SingleFlight(threads=2 * (1 + waiting) + _FOR_REFUSALS)

    @router.post("/infer/{model}", tags=["Infer"])
    async def infer(
        http: Request,
        background_tasks: BackgroundTasks,
        user: Annotated[User, USER],
        model: str,
        image: str = "",
        session_id: str = "",
        params: Annotated[str, Form()] = "{}",
        file: Annotated[UploadFile | None, File()] = None,
        output: ResultType | None = None,
    ) -> Any:
        """Segment a study, a session's, or a file sent along; others are answered meanwhile.

        There is no time limit: it ends when it is done, cancelled, or nobody waits for it.
        """
        here = app()
        task = lookup("model", model, here.tasks("model"))
        request = _refuse_overwriting(json_object(params), {"model": model, "image": image})
        request |= {**logged_in(user), "session_id": session_id}
        if output == ResultType.dicom_seg:
            raise InputError(
                "output=dicom_seg", expected="image, json or all", remedy="ask for image"
            )

        def work() -> dict[str, Any]:
            with _resolved(here, image, session_id, file) as resolved:
                named = {"model": model, "image": resolved.image_id}
                return here.infer_image({**request, **named}, resolved)

        parts = [model, image, request, here.context.served]
        is_shared = file is None and task.is_idempotent(request)
        key = json.dumps(parts, sort_keys=True) if is_shared else ""
        result = await flight.answer(work, key=key, http=http, jobs=here.context.jobs)
        return await run_in_threadpool(
            send_response, here.datastore(), result, output, background_tasks
        )

    @router.post("/infer/wsi/{model}", tags=["Infer"], include_in_schema=False)
    @router.post("/infer/wsi_v2/{model}", tags=["Infer"], include_in_schema=False)
    def infer_slide(model: str) -> None:
        """Refuse slides: the stock routes open any path on the server."""
        raise InputError(
            "a whole-slide inference", expected="an MR study", remedy=f"use POST /infer/{model}"
        )


@contextmanager
def _resolved(
    app: GuardedApp, image: str, session_id: str, file: UploadFile | None
) -> Iterator[ResolvedImage]:
    """Resolve the image of an inference. A path of the client is never opened.

    Of several, the file counts before the session, and the session before the image id.

    Raises:
        InputError: there is no file, session or image id, or its study cannot be used.
        UnknownNameError: no such session or image id.
    """
    catalogue = app.context.datastore.catalogue
    if file is not None:
        with saved_upload(file, default_name="image.nii.gz") as path:
            yield catalogue.temporary_study(path)
    elif session_id:
        session = app.sessions().get_session(session_id)
        if session is None:
            raise UnknownNameError(
                f"unknown session {session_id!r}",
                expected="a session that has not expired",
                remedy="make one with PUT /session/",
            )
        yield catalogue.temporary_study(Path(session.image))
    elif image:
        yield catalogue.resolve(image)
    else:
        raise InputError(
            "an inference of nothing", expected="image, session_id or a file", remedy="name one"
        )


def _add_batch_infer(router: APIRouter, app: Callable[[], GuardedApp]) -> None:
    @router.post("/batch/infer/{model}", tags=["Infer"], dependencies=[ADMIN])
    def run(
        model: str,
        images: BatchInferImageType = BatchInferImageType.IMAGES_ALL,
        params: Params = None,
        run_sync: bool = False,
    ) -> Any:
        """Segment many studies; one GPU or the CPU, and Zeus keeps its answers as originals."""
        lookup("model", model, app().tasks("model"))
        request = _refuse_overwriting(params or {}, {"model": model, "images": images})
        # The server's own device is used; stock code divides by the number of GPUs, 0 on a CPU.
        return batch_infer.run(
            model, images, {"max_workers": 1, **request, "multi_gpu": False}, run_sync
        )


def _add_train(router: APIRouter, app: Callable[[], GuardedApp]) -> None:
    @router.post("/train/{model}", tags=["Train"], dependencies=[ADMIN])
    def run(
        model: str, params: Params = None, run_sync: bool = False, enqueue: bool = False
    ) -> Any:
        """Train on the submitted labels, in a process of its own unless run_sync."""
        request = _refuse_overwriting(params or {}, {"model": model})
        here = app()
        lookup("trainer", model, here.tasks("trainer")).check(request)
        if not processes("train"):  # else /zeus/progress shows the last one until this one begins
            here.context.state.training.unlink(missing_ok=True)
        return train.run_model(model, request, run_sync, enqueue)

    @router.post("/train/", tags=["Train"], dependencies=[ADMIN], include_in_schema=False)
    def run_all(params: Params = None, run_sync: bool = False) -> dict[str, Any]:
        """The same for every trainer of the server; params are by trainer."""
        return {
            model: {"result": run(model, (params or {}).get(model), run_sync), "detail": None}
            for model in app().tasks("trainer")
        }


def _add_next_and_score(router: APIRouter, app: Callable[[], GuardedApp]) -> None:
    @router.post("/activelearning/{strategy}", tags=["ActiveLearning"], dependencies=[USER])
    def sample(strategy: str, params: Params = None) -> Any:
        """The next study to label; an empty object when all are labelled."""
        _known(strategy, "strategy", app())
        request = _refuse_overwriting(params or {}, {"strategy": strategy})
        studies = app().context.datastore.catalogue
        while True:
            offered = len(studies.studies)
            try:
                found = activelearning.sample(strategy, request, None)
            except InputError:
                if len(studies.studies) == offered:
                    raise
                continue  # the one chosen turned out unusable and is off the list: choose again
            if found:
                app().context.encode_opened(studies.resolve(found["id"]))
            return found

    @router.post("/scoring/{method}", tags=["Scoring"], dependencies=[ANNOTATOR])
    def score(method: str, params: Params = None, run_sync: bool = False) -> Any:
        """Score originals against final labels; on request alone."""
        _known(method, "scoring method", app())
        request = _refuse_overwriting(params or {}, {"method": method})
        return scoring.run_method(method, request, run_sync)


def _known(name: str, kind: str, app: GuardedApp) -> None:
    """Refuse an unknown name as bad input, not as a missing page."""
    try:
        lookup(kind, name, app.tasks(kind))
    except UnknownNameError as error:
        raise InputError(error.came, expected=error.expected, remedy=error.remedy) from error


def _refuse_overwriting(params: dict[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse params that say something else than the address does."""
    for key in _SAYS_WHAT_RUNS:
        if key in params and params[key] != request.get(key):
            raise InputError(
                f"params that set {key!r} to {params[key]!r}",
                expected=f"{key} in the request's address alone",
                remedy=f"take {key} out of params",
            )
    return params
