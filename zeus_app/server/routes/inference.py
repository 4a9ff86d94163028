"""POST /infer and POST /batch/infer: an image in, a mask out.

Inferences run in threads of their own, so that other requests find a free thread while inferences
wait.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, File, Form, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from monailabel.endpoints.infer import ResultType, send_response
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.tasks.batch_infer import BatchInferImageType

from zeus_app.errors import InputError
from zeus_app.labels.segments import LABEL_INFO
from zeus_app.server.jobs.single_flight import SingleFlight
from zeus_app.server.routes.forms import JSON_BODY, Params, json_object
from zeus_app.server.routes.guards import GuardedApp, refuse_overwriting
from zeus_app.server.routes.roles import ADMIN, USER, logged_in
from zeus_app.server.routes.saved_upload import saved_upload
from zeus_app.server.routes.sessions import known_session
from zeus_app.server.routes.tasks import answer_of
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.server.tasks.chosen_sequences import refuse_lacking, sequences_of_texts
from zeus_app.server.tasks.guidance import refuse_settings, sent_texts
from zeus_app.server.tasks.inference import LABEL_FILE
from zeus_app.server.tasks.parameters import BATCH, read_parameters
from zeus_app.settings.registry import lookup

_SPARE_THREADS = 4  # for requests that are refused because too many wait already


def inference_routes(app: Callable[[], GuardedApp]) -> APIRouter:
    """Routes that replace MONAI Label's own.

    Args:
        app: returns the running app.
    """
    router = APIRouter(tags=["Infer"])
    _add_infer(router, app)
    _add_slides(router)
    _add_batch_infer(router, app)
    return router


def _add_infer(router: APIRouter, app: Callable[[], GuardedApp]) -> None:
    waiting = app().context.config.waiting  # as many clicks may wait, and as many inferences
    flight = SingleFlight(threads=2 * (1 + waiting) + _SPARE_THREADS)

    @router.post("/infer/{model}")
    async def infer(
        http: Request,
        background_tasks: BackgroundTasks,
        user: Annotated[User, USER],
        model: str,
        image: str = "",
        session_id: str = "",
        params: Annotated[str, Form()] = "{}",
        file: Annotated[UploadFile | None, File()] = None,
        label: Annotated[UploadFile | None, File()] = None,
        output: ResultType | None = None,
    ) -> Any:
        """Segment a study, a session's image, or a file sent along; blocks no other request.

        There is no time limit. The inference ends when it is done or cancelled, or when no client
        waits for it any more.
        """
        running = app()
        task = lookup("model", model, running.tasks("model"))
        sent = refuse_overwriting(json_object(params), {"model": model, "image": image})
        refuse_settings(sent)
        request = read_parameters(sent, task.parameters, task="inference")
        request |= {**logged_in(user), "session_id": session_id}
        _refuse_dicom_seg(output)
        if label is not None:
            _refuse_label_file(model, task)

        def work() -> dict[str, Any]:
            with _resolved(running, image, session_id, file) as resolved, _saved(label) as sent:
                target = running.context.target
                texts = sequences_of_texts(sent_texts(request, target), target)
                refuse_lacking(texts, resolved.files)
                address = {"model": model, "image": resolved.image_id, LABEL_FILE: sent}
                return running.infer_image({**request, **address}, resolved)

        parts = [model, image, request, running.context.served_version]
        is_shared = file is None and label is None and task.is_idempotent(request)
        key = json.dumps(parts, sort_keys=True) if is_shared else ""
        result = await flight.run(work, key=key, request=http, jobs=running.context.jobs)
        return await run_in_threadpool(
            send_response, running.datastore(), result, output, background_tasks
        )


def _refuse_dicom_seg(output: ResultType | None) -> None:
    if output == ResultType.dicom_seg:
        raise InputError(
            "output=dicom_seg", expected="image, json or all", remedy="send output=image"
        )


def _refuse_label_file(model: str, task: Any) -> None:
    """Refuse a label file for a model that reads none; ignoring it would hide it."""
    if LABEL_INFO not in task.parameters:
        raise InputError(
            f"a label file for the model {model!r}",
            expected="scribbles or a mask to refine for a model that reads them",
            remedy="send it to POST /infer/scribbles, or to clicks, clicks_3d or edit",
        )


def _saved(label: UploadFile | None) -> AbstractContextManager[Path | None]:
    """The label file of a request as a temporary file; None if it has none."""
    return saved_upload(label, default_name="label.nii.gz") if label else nullcontext()


@contextmanager
def _resolved(
    app: GuardedApp, image: str, session_id: str, file: UploadFile | None
) -> Iterator[ResolvedImage]:
    """Resolve the image of an inference. A path sent by the client is never opened.

    If several are sent, the file is used before the session, and the session before the image id.

    Raises:
        InputError: nothing was sent, or the study cannot be used.
        UnknownNameError: no such session, study or sequence.
    """
    catalogue = app.context.datastore.catalogue
    if file is not None:
        with saved_upload(file, default_name="image.nii.gz") as path:
            yield catalogue.temporary_study(path)
    elif session_id:
        session = known_session(app, session_id, update_ts=True)
        yield catalogue.temporary_study(Path(session.image))
    elif image:
        yield catalogue.resolve(image)
    else:
        raise InputError(
            "an inference without an image",
            expected="image, session_id or a file",
            remedy="send for example ?image=patient_012; GET /zeus/studies lists the ids",
        )


def _add_slides(router: APIRouter) -> None:
    @router.post("/infer/wsi/{model}", include_in_schema=False)
    @router.post("/infer/wsi_v2/{model}", include_in_schema=False)
    def infer_slide(model: str) -> None:
        """Refuse whole-slide images: the stock routes open any path on the server."""
        raise InputError(
            "a whole-slide inference",
            expected="an MR study",
            remedy=f"send POST /infer/{model}?image=<study>",
        )


def _add_batch_infer(router: APIRouter, app: Callable[[], GuardedApp]) -> None:
    @router.post("/batch/infer/{model}", dependencies=[ADMIN], openapi_extra=JSON_BODY)
    async def run(
        model: str,
        params: Params,
        images: BatchInferImageType = BatchInferImageType.IMAGES_ALL,
        run_sync: bool = False,
    ) -> Any:
        """Segment many studies, one after another, in a process of its own; saves predictions."""
        task = lookup("model", model, app().tasks("model"))
        refuse_settings(refuse_overwriting(params, {"model": model, "images": images}))
        request = read_parameters(params, {**task.parameters, **BATCH}, task="batch inference")
        task.check(request)
        # Stock code divides by the number of GPUs, which is 0 on a CPU. Zeus uses its own device.
        fixed = {"model": model, "images": images.value, "multi_gpu": False}
        return await answer_of(
            "batch_infer", {"max_workers": 1, **request, **fixed}, run_sync=run_sync
        )
