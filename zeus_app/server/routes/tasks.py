"""GET and DELETE of trainings, batch inferences and scorings, and the answer to their POST."""

import asyncio
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.params import Depends

from zeus_app.errors import InputError
from zeus_app.server.jobs.task_processes import (
    Kind,
    TaskFailedError,
    start_task,
    stop_task,
    tasks_of,
)
from zeus_app.server.routes.roles import ADMIN, ANNOTATOR, USER

_ROUTES: tuple[tuple[str, Kind, Depends], ...] = (
    ("/train/", "train", ADMIN),
    ("/scoring/", "scoring", ANNOTATOR),
    ("/batch/infer", "batch_infer", ADMIN),
)
"""Path, kind of task, and who may stop it."""


def task_routes() -> APIRouter:
    """Routes that replace MONAI Label's own, which fail while a task begins or ends."""
    router = APIRouter(tags=["Tasks"])
    for path, kind, may_stop in _ROUTES:
        _add_routes(router, path, kind, may_stop)
    return router


def _add_routes(router: APIRouter, path: str, kind: Kind, may_stop: Depends) -> None:
    @router.get(path, dependencies=[USER], operation_id=f"{kind}_status")
    def status(all: bool = False, check_if_running: bool = False) -> Any:
        """The newest task, the running one, or all tasks; 404 if there is none."""
        tasks = tasks_of(kind, running=check_if_running)
        if not tasks:
            raise HTTPException(404, f"there is no task of kind {kind}")
        if check_if_running:
            return tasks[0]
        return tasks if all else tasks[-1]

    @router.delete(path, dependencies=[may_stop], operation_id=f"{kind}_stop")
    def stop() -> Any:
        """Stop the running task; null if none runs."""
        return stop_task(kind)


async def answer_of(
    kind: Kind, request: dict[str, Any], *, run_sync: bool, enqueue: bool = False
) -> Any:
    """Start a task, and answer as MONAI Label does: with the task, or its result with run_sync.

    Waiting for the result blocks no other request and takes no thread.
    """
    task, result = start_task(kind, request, enqueue=enqueue)
    if not run_sync:
        return task
    try:
        return await asyncio.shield(asyncio.wrap_future(result))
    except TaskFailedError as error:
        raise HTTPException(500, str(error)) from error


def params_by_name(params: dict[str, Any], names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The parameters of each task of a request that starts all tasks.

    A client sends parameters under the name of a task, or at the top for all tasks. A task's own
    parameter wins over one at the top.

    Args:
        params: the request's parameters.
        names: names of the tasks.

    Raises:
        InputError: a value under a task's name is no object.
    """
    shared = {key: value for key, value in params.items() if key not in names}
    own = {name: {} if params.get(name) is None else params[name] for name in names}
    for name, value in own.items():
        if not isinstance(value, dict):
            raise InputError(
                f"parameters {str(value)[:80]!r} for {name}",
                expected="an object",
                remedy=f'send for example {{"{name}": {{"epochs": 20}}}}, or {{"epochs": 20}}',
            )
    return {name: {**shared, **value} for name, value in own.items()}
