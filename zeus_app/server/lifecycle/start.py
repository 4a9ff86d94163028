"""Start of a server: bad settings end it with a one-line message before it answers requests."""

import logging
import os
import sys
from collections.abc import Mapping

from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance

from zeus_app.errors import InputError
from zeus_app.server.context import ServerContext, open_context
from zeus_app.server.lifecycle.install import install
from zeus_app.server.lifecycle.server_command import warn_of_many_heaps
from zeus_app.server.lifecycle.server_watch import announce_server, end_with_server
from zeus_app.server.lifecycle.shutdown import stop_tasks_at_shutdown
from zeus_app.server.lifecycle.temporary_files import use_own_temporary_folder
from zeus_app.server.security.listening import (
    listening_host,
    refuse_open_listening,
    refuse_stock_login,
)
from zeus_app.server.security.log import log_one_line_a_record, move_log
from zeus_app.upgrade.older_state import bring_up_to_date

_CANNOT_START = "Zeus cannot start"
logger = logging.getLogger(__name__)


def open_or_exit(studies: str, conf: Mapping[str, str]) -> ServerContext:
    """Open the context of a server, or of a process that it started, from its command line.

    Raises:
        SystemExit: a setting or the studies folder cannot be used; with the reason.
    """
    log_one_line_a_record()
    end_with_server()
    try:
        return open_context(studies, conf)
    except InputError as error:
        raise exit_for(error) from error


def serve(context: ServerContext) -> None:
    """Turn MONAI Label's running server into Zeus: log the studies, build the model, add routes.

    Its temporary files get a folder of their own.

    Raises:
        SystemExit: the server would listen to other machines without a login, the state folder
            cannot be brought up to date, or the model cannot be built; with the reason.
    """
    # Imported here, because training and scoring processes have no server.
    from monailabel.app import app as server

    log = move_log(context.state.logs, port=settings.MONAI_LABEL_SERVER_PORT)
    try:
        refuse_stock_login(is_on=settings.MONAI_LABEL_AUTH_ENABLE)
        refuse_open_listening(listening_host(sys.argv[1:]), insecure=context.config.insecure)
        announce_server()
        warn_of_many_heaps(os.environ)
        use_own_temporary_folder()
        known = context.datastore.catalogue
        bring_up_to_date(
            context.state, known.former, studies=known.studies, pseudonyms=known.pseudonyms
        )
        context.log_studies()
        assert context.segmenter is not None  # builds the model now, not at the first request
    except InputError as error:
        raise exit_for(error) from error
    context.learning.start()
    install(server, app_instance, log=log)
    stop_tasks_at_shutdown(context.inference_jobs)


def exit_for(error: InputError) -> SystemExit:
    """Log the reason why the server cannot start, and return what ends the process.

    Uvicorn ends with the exit code 3. It would log the reason again, within tracebacks.
    """
    logger.error("%s: %s", _CANNOT_START, error)
    logging.getLogger("uvicorn.error").addFilter(_is_no_repetition)
    return SystemExit(f"{_CANNOT_START}: {error}")


def _is_no_repetition(record: logging.LogRecord) -> bool:
    return _CANNOT_START not in record.getMessage()
