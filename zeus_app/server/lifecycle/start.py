"""Start of a server: bad settings end it with a one-line message before it answers requests."""

import logging
import threading
from collections.abc import Mapping

from monailabel.interfaces.utils.app import app_instance

from zeus_app.errors import InputError
from zeus_app.server.context import ServerContext, open_context
from zeus_app.server.jobs.learning import CaseLearning
from zeus_app.server.lifecycle.install import install
from zeus_app.server.lifecycle.server_watch import announce_server, end_with_server
from zeus_app.server.lifecycle.shutdown import stop_tasks_at_shutdown
from zeus_app.server.studies.older_state import bring_up_to_date

logger = logging.getLogger(__name__)
_learning: list[CaseLearning] = []  # of the app that runs; a POST /reload replaces the app
_serving = threading.Event()  # set once this process answers requests; POST /reload comes later


def open_or_exit(studies: str, conf: Mapping[str, str]) -> ServerContext:
    """Open the context of a server from its command line.

    Raises:
        SystemExit: a setting or the studies folder cannot be used; with the reason.
        InputError: the same at a POST /reload. The request fails and the server goes on.
    """
    end_with_server()
    try:
        return open_context(studies, conf, first=not _serving.is_set())
    except InputError as error:
        if _serving.is_set():
            raise
        raise exit_for(error) from error


def serve(context: ServerContext) -> None:
    """Turn MONAI Label's running server into Zeus: log the studies, build the model, add routes.

    Raises:
        SystemExit: the state folder cannot be brought up to date, or the model cannot be built;
            with the reason.
    """
    # Imported here, because training and scoring processes have no server.
    from monailabel.app import app as server

    announce_server()
    try:
        bring_up_to_date(context.state.root, context.datastore.catalogue)
        context.log_studies()
        assert context.segmenter is not None  # builds the model now, not at the first request
    except InputError as error:
        raise exit_for(error) from error
    while _learning:
        _learning.pop().close()
    _learning.append(context.learning)
    context.learning.start()
    install(server, app_instance)
    if not _serving.is_set():
        stop_tasks_at_shutdown()
    _serving.set()


def exit_for(error: InputError) -> SystemExit:
    """Log the reason why the server cannot start, and return what ends the process."""
    logger.error("Zeus cannot start: %s", error)
    return SystemExit(f"Zeus cannot start: {error}")
