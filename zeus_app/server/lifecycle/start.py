"""Starting: what is wrong is said in one line before the server answers anything."""

import logging
import threading
from collections.abc import Mapping

from monailabel.interfaces.utils.app import app_instance

from zeus_app.errors import InputError
from zeus_app.server.context import ServerContext, open_context
from zeus_app.server.lifecycle.install import install
from zeus_app.server.lifecycle.shutdown import end_background_with_server

logger = logging.getLogger(__name__)
_serving = threading.Event()  # this process's server answers; POST /reload makes the app anew


def open_or_exit(studies: str, conf: Mapping[str, str]) -> ServerContext:
    """Read the command line; leave with a message when it cannot be served.

    Raises:
        SystemExit: with that message.
        InputError: the same in a server that was reloaded: the request fails, the server goes on.
    """
    try:
        return open_context(studies, conf, first=not _serving.is_set())
    except InputError as error:
        if _serving.is_set():
            raise
        raise refusal(error) from error


def serve(context: ServerContext) -> None:
    """Make the running server Zeus's: log the studies, build the model, add the routes.

    Raises:
        SystemExit: the model cannot be built; says why.
    """
    # Imported here: training and scoring processes have no server.
    from monailabel.app import app as server

    context.log_studies()
    try:
        assert context.segmenter is not None
    except InputError as error:
        raise refusal(error) from error
    install(server, app_instance)
    if not _serving.is_set():
        end_background_with_server()
    _serving.set()


def refusal(error: InputError) -> SystemExit:
    """What ends the process, with the reason in the log."""
    logger.error("Zeus cannot start: %s", error)
    return SystemExit(f"Zeus cannot start: {error}")
