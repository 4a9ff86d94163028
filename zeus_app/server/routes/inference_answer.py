"""The answer to an inference, at once or from a job: the mask, its parameters, or both."""

from typing import Any

from fastapi import BackgroundTasks
from fastapi.concurrency import run_in_threadpool
from monailabel.endpoints.infer import ResultType, send_response

from zeus_app.errors import InputError
from zeus_app.server.routes.guards import GuardedApp


def refuse_output(output: ResultType | None) -> None:
    """Refuse an output that Zeus does not write. Raises InputError."""
    if output == ResultType.dicom_seg:
        raise InputError(
            "output=dicom_seg", expected="image, json or all", remedy="send output=image"
        )


async def answer_with(
    app: GuardedApp,
    result: dict[str, Any],
    output: ResultType | None,
    background_tasks: BackgroundTasks,
) -> Any:
    """Answer with a result of MONAI Label's `infer`; its file is deleted after it is sent."""
    return await run_in_threadpool(send_response, app.datastore(), result, output, background_tasks)
