"""POST /infer and POST /batch/infer: an image in, a mask out.

Inferences run in threads of their own, so that other requests find a free thread while inferences
wait.
"""

import json
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, File, Form, Query, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from monailabel.endpoints.infer import ResultType
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.tasks.batch_infer import BatchInferImageType

from zeus_app.errors import InputError
from zeus_app.instructions.own_texts import INSTRUCTIONS
from zeus_app.instructions.typed_text import TEXT
from zeus_app.labels.segments import LABEL_INFO
from zeus_app.server.jobs.inference_jobs import InferenceJob
from zeus_app.server.jobs.single_flight import SingleFlight, wait_for_disconnect
from zeus_app.server.routes.forms import JSON_BODY, Params, json_object
from zeus_app.server.routes.guards import GuardedApp, refuse_overwriting
from zeus_app.server.routes.inference_answer import answer_with
from zeus_app.server.routes.inference_request import InferenceRequest
from zeus_app.server.routes.jobs import accepted, owner_of
from zeus_app.server.routes.roles import ADMIN, USER, logged_in
from zeus_app.server.routes.tasks import answer_of
from zeus_app.server.tasks.chosen_sequences import SEQUENCES, named_sequences
from zeus_app.server.tasks.guidance import refuse_settings, sent_texts
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
        later: Annotated[bool, Query(alias="async")] = False,
    ) -> Any:
        """Segment a study, a session's image, or a file sent along; blocks no other request.

        There is no time limit. The inference ends when it is done or cancelled, or when no client
        waits for it any more. With async=true the answer is the address of a job.
        """
        running = app()
        task = lookup("model", model, running.tasks("model"))
        sent = refuse_overwriting(json_object(params), {"model": model, "image": image})
        refuse_settings(sent)
        read = read_parameters(sent, task.parameters, task="inference")
        read |= {**logged_in(user), "session_id": session_id}
        target = running.context.target
        read |= {INSTRUCTIONS: sent_texts(read, target), TEXT: ""}
        if label is not None:
            _refuse_label_file(model, task)
        is_shared = file is None and label is None and task.is_idempotent(read)
        parts = [model, image, read, running.context.served_version]
        request = InferenceRequest(
            running, model, image, read, file, label, output == ResultType.dicom_seg,
            sequences=named_sequences(read.get(SEQUENCES), read[INSTRUCTIONS], target),
            key=json.dumps(parts, sort_keys=True) if is_shared else "",
        )  # fmt: skip
        if later:
            return accepted(await _job(request, flight, owner=owner_of(user)), output)
        left = partial(wait_for_disconnect, http)
        jobs = running.context.jobs
        result = await flight.run(request.run, key=request.key, left=left, jobs=jobs)
        return await answer_with(running, result, output, background_tasks)


async def _job(request: InferenceRequest, flight: SingleFlight, *, owner: str) -> InferenceJob:
    """Start a job, once all is checked that can be checked early.

    Raises:
        InputError: see `InferenceRequest.opened`; or a parameter is bad.
        BusyError: too many jobs wait or run.
    """
    context = request.app.context
    context.inference_jobs.refuse_when_full()
    files = ExitStack()  # they outlive the request

    async def run(job: InferenceJob) -> dict[str, Any]:
        try:
            return await flight.run(
                partial(request.run, opened), key=request.key, left=job.cancelled.wait,
                jobs=context.jobs, joined=job.joins,
            )  # fmt: skip
        finally:
            await run_in_threadpool(files.close)

    try:
        await run_in_threadpool(request.check)
        opened = await run_in_threadpool(files.enter_context, request.opened())
        return context.inference_jobs.start(run, owner=owner, model=request.model)
    except BaseException:
        await run_in_threadpool(files.close)
        raise


def _refuse_label_file(model: str, task: Any) -> None:
    """Refuse a label file for a model that reads none; ignoring it would hide it."""
    if LABEL_INFO not in task.parameters:
        raise InputError(
            f"a label file for the model {model!r}",
            expected="scribbles or a mask to refine for a model that reads them",
            remedy="send it to POST /infer/scribbles, or to clicks, clicks_3d or edit",
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
        target = app().context.target
        request |= {INSTRUCTIONS: sent_texts(request, target), TEXT: ""}
        task.check(request)
        # Stock code divides by the number of GPUs, which is 0 on a CPU. Zeus uses its own device.
        fixed = {"model": model, "images": images.value, "multi_gpu": False}
        return await answer_of(
            "batch_infer", {"max_workers": 1, **request, **fixed}, run_sync=run_sync
        )
