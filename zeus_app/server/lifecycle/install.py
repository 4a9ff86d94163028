"""Turns MONAI Label's server into Zeus: routes, middleware, error handlers."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from monailabel.config import settings

from zeus_app.server.context import ServerContext
from zeus_app.server.lifecycle.cpu_priority import keep_priority
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.server.routes.active_learning import active_learning_routes
from zeus_app.server.routes.checksums import checksum_routes
from zeus_app.server.routes.clicks import click_routes
from zeus_app.server.routes.connect import connect_routes
from zeus_app.server.routes.dicomweb import dicomweb_routes
from zeus_app.server.routes.guards import GuardedApp
from zeus_app.server.routes.images import image_routes
from zeus_app.server.routes.inference import inference_routes
from zeus_app.server.routes.jobs import job_routes
from zeus_app.server.routes.logs import log_routes
from zeus_app.server.routes.ohif import viewer_routes
from zeus_app.server.routes.refused import refused_routes
from zeus_app.server.routes.sessions import session_routes
from zeus_app.server.routes.tasks import task_routes
from zeus_app.server.routes.training import training_routes
from zeus_app.server.routes.uploads import upload_routes
from zeus_app.server.routes.zeus import zeus_routes
from zeus_app.server.security.body_size import MIB, BodyLimit
from zeus_app.server.security.faults import Faults
from zeus_app.server.security.headers import SecurityHeaders
from zeus_app.server.security.json_refusals import JsonRefusals
from zeus_app.server.security.listening import listening_host
from zeus_app.server.security.requests import RequestGuard


def install(server: FastAPI, app: Callable[[], GuardedApp], *, log: Path) -> None:
    """Add routes, middleware and error handlers. Call it once, when the server starts.

    Args:
        server: MONAI Label's FastAPI application.
        app: returns the running MONAI Label app.
        log: the file of the server's log.
    """
    keep_priority()
    context = app().context
    config = context.config
    stock_routes = len(server.router.routes)
    server.include_router(zeus_routes(lambda: app().context))
    server.include_router(click_routes(lambda: app().context))
    server.include_router(
        dicomweb_routes(
            lambda: app().context,
            pacs=lambda: app().context.pacs,
            results=lambda study_uid: app().context.results.series(study_uid),
        )
    )
    for router in (
        task_routes(), log_routes(log), refused_routes(),
        viewer_routes(can_store=lambda: bool(context.pacs and config.pacs_viewer_write)),
    ):  # fmt: skip
        server.include_router(router)
    for make_routes in (
        inference_routes, training_routes, active_learning_routes, upload_routes, image_routes,
        checksum_routes, session_routes, connect_routes, job_routes,
    ):  # fmt: skip
        server.include_router(make_routes(app))
    routes = server.router.routes[stock_routes:]
    del server.router.routes[stock_routes:]
    server.router.routes[:0] = routes  # FastAPI takes the first match
    # The start-up event has built the middleware. The next request builds it again.
    server.middleware_stack = None
    server.add_middleware(JsonRefusals)
    Faults(private_paths(context)).install(server)
    server.add_middleware(BodyLimit, max_bytes=config.max_upload_mib * MIB)
    guard(
        server,
        hosts=(listening_host(sys.argv[1:]), *config.hosts),
        origins=config.origins,
        local_only=not config.insecure,
    )


def guard(
    server: FastAPI, *, hosts: tuple[str, ...], origins: tuple[str, ...], local_only: bool
) -> None:
    """Replace MONAI Label's middleware, which lets every web page use the server.

    Args:
        server: MONAI Label's FastAPI application.
        hosts: names under which clients reach the server, besides its own address.
        origins: of web pages that may use the server, besides its own.
        local_only: refuse requests from other machines.
    """
    server.user_middleware[:] = [
        entry for entry in server.user_middleware if "allow_origins" not in entry.kwargs
    ]
    if origins:
        server.add_middleware(
            CORSMiddleware, allow_origins=[*origins], allow_methods=["*"], allow_headers=["*"]
        )
    server.add_middleware(RequestGuard, hosts=hosts, origins=origins, local_only=local_only)
    server.add_middleware(SecurityHeaders)  # the last one is the outermost


def private_paths(context: ServerContext) -> dict[Path, str]:
    """Folders of this machine -> what clients read instead."""
    temporary = Path(tempfile.gettempdir())  # the server's own, in the one of all programs
    return {
        context.state.root: "<state>",
        Path(settings.MONAI_LABEL_STUDIES): "<studies>",
        CHECKOUT: "<zeus>",
        temporary: "<temporary>",
        temporary.parent: "<temporary>",
        Path.home(): "<home>",
    }
