"""/zeus/jobs: the state and the result of an inference that was asked for with async=true."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from monailabel.endpoints.infer import ResultType
from monailabel.endpoints.user.auth import User

from zeus_app.server.jobs.inference_jobs import InferenceJob, Result
from zeus_app.server.jobs.single_flight import copy_to_temporary
from zeus_app.server.routes.guards import GuardedApp
from zeus_app.server.routes.inference_answer import answer_with
from zeus_app.server.routes.roles import USER, logged_in

JOBS = "/zeus/jobs"
_RETRY_AFTER_S = 2


def accepted(job: InferenceJob, output: ResultType | None) -> JSONResponse:
    """The answer to a request with async=true: status 202 and the addresses of its job."""
    status = f"{JOBS}/{job.id}"
    result = f"{status}/result" + (f"?output={output.value}" if output else "")
    addresses = {"job": job.id, "status": status, "result": result}
    return JSONResponse(addresses, status_code=202, headers={"Location": status})


def owner_of(user: User) -> str:
    """The name that a user's jobs belong to; empty where no log-in is required."""
    return logged_in(user).get("user", "")


def job_routes(app: Callable[[], GuardedApp]) -> APIRouter:
    """The routes under /zeus/jobs. They run on the event loop, which alone knows the jobs.

    Args:
        app: returns the running app.
    """
    router = APIRouter(prefix=JOBS, tags=["Zeus"])

    @router.get("/{job}")
    async def state(user: Annotated[User, USER], job: str) -> dict[str, Any]:
        """Whether a job is queued, running, done or failed, and how far it is."""
        ctx = app().context
        return ctx.inference_jobs.get(job, owner=owner_of(user)).state(ctx.jobs)

    @router.get("/{job}/result")
    async def result(
        background_tasks: BackgroundTasks,
        user: Annotated[User, USER],
        job: str,
        output: ResultType | None = None,
    ) -> Any:
        """What POST /infer without async=true would answer, the error of a failed job included."""
        jobs, owner = app().context.inference_jobs, owner_of(user)
        known = jobs.get(job, owner=owner)
        if not known.task.done():
            raise HTTPException(
                409,
                f"job {known.id} is not done. What to do: ask GET {JOBS}/{known.id} until its"
                " state is done",
                headers={"Retry-After": str(_RETRY_AFTER_S)},
            )
        try:
            answer = await run_in_threadpool(_copied, known.task.result(), output)
        except FileNotFoundError:
            jobs.get(job, owner=owner)  # the result was deleted just now: status 404
            raise
        return await answer_with(app(), answer, output, background_tasks)

    @router.delete("/{job}")
    async def remove(user: Annotated[User, USER], job: str) -> dict[str, Any]:
        """Cancel a job, or delete its result."""
        jobs = app().context.inference_jobs
        known = jobs.get(job, owner=owner_of(user))
        return {"job": known.id, "cancelled": jobs.remove(known)}

    return router


def _copied(result: Result, output: ResultType | None) -> Result:
    """The result with a file of its own, which is deleted after it is sent; none for JSON."""
    file = result["file"]
    if not file or output == ResultType.json:
        return {**result, "file": "", "label": ""}
    copy = copy_to_temporary(str(file))
    return {**result, "file": copy, "label": copy if result["label"] == file else result["label"]}
