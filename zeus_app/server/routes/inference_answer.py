"""The answer to an inference, at once or from a job: the mask, its parameters, or both."""

from pathlib import Path
from typing import Any

from fastapi import BackgroundTasks
from fastapi.concurrency import run_in_threadpool
from monailabel.endpoints.infer import ResultType, send_response

from zeus_app.server.routes.guards import GuardedApp
from zeus_app.server.routes.inference_request import ANSWERED_IMAGE, ANSWERED_USER
from zeus_app.server.tasks.dicom_answer import write_dicom_answer


async def answer_with(
    app: GuardedApp,
    result: dict[str, Any],
    output: ResultType | None,
    background_tasks: BackgroundTasks,
) -> Any:
    """Answer with a result of MONAI Label's `infer`; its file is deleted after it is sent."""

    def answer() -> Any:
        sent = result
        if output == ResultType.dicom_seg:
            sent = {**result, **_dicom_seg(app, result)}
        return send_response(app.datastore(), sent, output, background_tasks)

    return await run_in_threadpool(answer)


def _dicom_seg(app: GuardedApp, result: dict[str, Any]) -> dict[str, str]:
    """The DICOM SEG of a result, as MONAI Label names it in a result. It replaces the mask."""
    context, mask = app.context, Path(result["file"])
    try:
        path = write_dicom_answer(
            mask,
            result[ANSWERED_IMAGE],
            result["params"],
            context.target,
            keep_empty_frames=context.config.keep_empty_frames,
            refer_to_all_series=context.config.refer_to_all_series,
            user=result[ANSWERED_USER],
        )
    finally:
        mask.unlink(missing_ok=True)
    return {"file": str(path), "dicom_seg": str(path)}
