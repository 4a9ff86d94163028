"""Putting Zeus's routes and error answers into the running MONAI Label server."""

import logging
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from zeus_app.errors import BusyError, CancelledError, InputError
from zeus_app.server.lifecycle import cpu_priority as priority
from zeus_app.server.routes.active_learning import active_learning_routes
from zeus_app.server.routes.clicks import click_routes
from zeus_app.server.routes.guards import GuardedApp
from zeus_app.server.routes.images import image_routes
from zeus_app.server.routes.inference import inference_routes
from zeus_app.server.routes.training import training_routes
from zeus_app.server.routes.uploads import upload_routes
from zeus_app.server.routes.zeus import zeus_routes

CANCELLED = 409
logger = logging.getLogger(__name__)


def install(server: FastAPI, app: Callable[[], GuardedApp]) -> None:
    """Add routes and handlers. Call it once, from the server's start-up.

    Args:
        server: MONAI Label's FastAPI application.
        app: gives the running MONAI Label app.
    """
    priority.keep()
    before = len(server.router.routes)
    server.include_router(zeus_routes(lambda: app().context))
    server.include_router(click_routes(lambda: app().context))
    for routes in (
        inference_routes, training_routes, active_learning_routes, upload_routes, image_routes,
    ):  # fmt: skip
        server.include_router(routes(app))
    ours = server.router.routes[before:]
    del server.router.routes[before:]
    server.router.routes[:0] = ours  # the first match answers
    server.add_exception_handler(InputError, _bad_input)
    server.add_exception_handler(CancelledError, _cancelled)
    server.add_exception_handler(BusyError, _busy)
    # Start-up itself came through the middleware, so it is built; the next request builds it anew,
    # with the handlers.
    server.middleware_stack = None


async def _bad_input(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InputError)
    logger.warning("%s %s: %s", request.method, request.url.path, error)
    return JSONResponse({"detail": str(error)}, status_code=error.status)


async def _cancelled(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=CANCELLED)


async def _busy(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BusyError)
    logger.warning("%s %s: %s", request.method, request.url.path, error)
    again = {"Retry-After": str(error.retry_after_s)}
    return JSONResponse({"detail": str(error)}, status_code=error.status, headers=again)
