"""Adds Zeus's routes and error handlers to the running MONAI Label server."""

import logging
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from zeus_app.errors import BusyError, CancelledError, InputError
from zeus_app.server.lifecycle.cpu_priority import keep_priority
from zeus_app.server.routes.active_learning import active_learning_routes
from zeus_app.server.routes.clicks import click_routes
from zeus_app.server.routes.guards import GuardedApp
from zeus_app.server.routes.images import image_routes
from zeus_app.server.routes.inference import inference_routes
from zeus_app.server.routes.tasks import task_routes
from zeus_app.server.routes.training import training_routes
from zeus_app.server.routes.uploads import upload_routes
from zeus_app.server.routes.zeus import zeus_routes

CANCELLED_STATUS = 409
logger = logging.getLogger(__name__)


def install(server: FastAPI, app: Callable[[], GuardedApp]) -> None:
    """Add routes and error handlers. Call it once, when the server starts.

    Args:
        server: MONAI Label's FastAPI application.
        app: returns the running MONAI Label app.
    """
    keep_priority()
    stock_routes = len(server.router.routes)
    server.include_router(zeus_routes(lambda: app().context))
    server.include_router(click_routes(lambda: app().context))
    server.include_router(task_routes())
    for make_routes in (
        inference_routes, training_routes, active_learning_routes, upload_routes, image_routes,
    ):  # fmt: skip
        server.include_router(make_routes(app))
    routes = server.router.routes[stock_routes:]
    del server.router.routes[stock_routes:]
    server.router.routes[:0] = routes  # FastAPI takes the first match
    server.add_exception_handler(InputError, _input_error)
    server.add_exception_handler(CancelledError, _cancelled_error)
    server.add_exception_handler(BusyError, _busy_error)
    # The start-up event has built the middleware. The next request builds it again, with handlers.
    server.middleware_stack = None


async def _input_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InputError)
    logger.warning("%s %s: %s", request.method, request.url.path, error)
    return JSONResponse({"detail": str(error)}, status_code=error.status)


async def _cancelled_error(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=CANCELLED_STATUS)


async def _busy_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BusyError)
    logger.warning("%s %s: %s", request.method, request.url.path, error)
    headers = {"Retry-After": str(error.retry_after_s)}
    return JSONResponse({"detail": str(error)}, status_code=error.status, headers=headers)
