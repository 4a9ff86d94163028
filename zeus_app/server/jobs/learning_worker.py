"""The worker process: learns from the cases that its server names; imports and model stay warm.

`learning_process.py` starts it with the number of its end of a connection.
"""

import json
import logging
import os
import queue
import signal
import sys
import threading
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any

from zeus_app.errors import CancelledError, InputError
from zeus_app.pipeline.plugins import learner_of
from zeus_app.server.context import ServerContext
from zeus_app.server.jobs.learning_process import CANCELLED
from zeus_app.server.security.log import log_one_line_a_record
from zeus_app.server.studies.labelled import LabelledStudies
from zeus_app.server.studies.places import folder_for, place_of
from zeus_app.settings.config import ZeusConfig
from zeus_app.settings.recipes import with_recipe
from zeus_app.storage.process_lock import LockedError
from zeus_app.storage.state import state_folder
from zeus_app.targets import target_of
from zeus_app.training.refine import Refinement, Refiner, SupersededError

logger = logging.getLogger(__name__)


class ServerRequests:
    """The server's requests, read by a thread, so that one can interrupt the steps.

    The thread ends this process at once when the server is gone. What was not published is lost,
    and the last whole version stays served.

    Args:
        connection: this process's end.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._studies: queue.Queue[str] = queue.Queue()
        self._cancelled = threading.Event()

    def start(self) -> None:
        """Start to read."""
        threading.Thread(target=self._read, name="server-requests", daemon=True).start()

    def next_study(self) -> str:
        """Wait for the next study."""
        return self._studies.get()

    def raise_if_cancelled(self, stage: str, done: int, total: int) -> None:
        """Raise CancelledError if the server interrupts this case. Implements `progress.Report`."""
        if self._cancelled.is_set():
            raise CancelledError("an ordinary training comes first")

    def _read(self) -> None:
        try:
            while True:
                request = json.loads(self._connection.recv_bytes())
                if "learn" in request:
                    self._cancelled.clear()
                    self._studies.put(request["learn"])
                else:
                    self._cancelled.set()
        except (EOFError, OSError):
            os._exit(0)


class CaseLearner:
    """Learns from the labels in a state folder.

    Args:
        studies: path of the studies folder, or address of the PACS.
        config: the settings of the server.
    """

    def __init__(self, studies: str, config: ZeusConfig) -> None:
        target = target_of(config)
        place = place_of(studies, config)
        state = state_folder(config, target=target.name, studies=folder_for(place))
        ctx = ServerContext(config, target, state, place)
        self._config, self._datastore = config, ctx.datastore
        self._labelled = LabelledStudies(ctx.datastore, target)
        self._refiner = Refiner(ctx.segmenter.training, with_recipe({}, learner_of(config)))

    def learn(self, study: str, requests: ServerRequests) -> Refinement:
        """Learn from a study; again, if another version was served meanwhile.

        Raises:
            InputError: see `Refiner.refine`.
            CancelledError: the server interrupted it.
        """
        if study not in self._datastore.catalogue.studies:
            self._datastore.refresh()  # it was uploaded, or its files were repaired
        while True:
            try:
                return self._refiner.refine(
                    self._labelled(),
                    study,
                    seconds=self._config.learn_s,
                    serve=self._config.learn == "on",
                    report=requests.raise_if_cancelled,
                )
            except SupersededError:
                logger.info("Zeus: another version was served; %s is learnt again", study)


def answer(learner: CaseLearner, study: str, requests: ServerRequests) -> dict[str, Any]:
    """Learn from a study, and describe the result or the error."""
    try:
        return asdict(learner.learn(study, requests))
    except (CancelledError, LockedError):  # a training comes first, also another server's
        return CANCELLED
    except InputError as error:
        return {"error": str(error)}
    except Exception as error:
        logger.exception("Zeus: learning after %s failed", study)
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Serve one server until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the server, which ends this
    logging.basicConfig(level=logging.INFO, format="[%(asctime)s] learning: %(message)s")
    log_one_line_a_record()
    connection = Connection(int(sys.argv[1]))
    start = json.loads(connection.recv_bytes())
    requests = ServerRequests(connection)
    requests.start()
    learner = CaseLearner(start["studies"], ZeusConfig.model_validate(start["config"]))
    connection.send_bytes(json.dumps({"ready": True}).encode())
    while True:
        study = requests.next_study()
        reply = answer(learner, study, requests)
        connection.send_bytes(json.dumps(reply).encode())


if __name__ == "__main__":
    main()
