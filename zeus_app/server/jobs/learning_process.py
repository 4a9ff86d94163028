"""The warm worker process of learning after each case, as the server sees it."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any, Protocol

from zeus_app.server.lifecycle.cpu_priority import lower_priority_of
from zeus_app.server.lifecycle.server_command import server_environment
from zeus_app.server.studies.places import Place
from zeus_app.settings.config import ZeusConfig

WORKER = "zeus_app.server.jobs.learning_worker"
CANCEL, CANCELLED = {"cancel": True}, {"cancelled": True}
"""The server's request to leave the present case, and the worker's answer."""
_POLL_S = 0.2
_END_TIMEOUT_S = 10

Reply = dict[str, Any]


class WorkerEndedError(Exception):
    """The worker process ended: killed, out of memory, or its model cannot be built."""


class Worker(Protocol):
    """What learns from one case after another.

    `LearningProcess` is the only one outside of tests; these need no process.
    """

    def learn(self, study: str, *, interrupted: Callable[[], bool]) -> Reply:
        """Learn from a study, and return the fields of a `Refinement`.

        Args:
            study: id of the study.
            interrupted: asked again and again; True makes the worker leave the case.

        Returns:
            The fields; or {"error": reason}; or `CANCELLED` after an interruption.

        Raises:
            WorkerEndedError: the worker ended.
        """

    def close(self) -> None:
        """End the worker."""


class LearningProcess:
    """Starts the process, and returns when its model is built.

    The two sides exchange JSON over a pair of connected sockets. The server alone holds one end. So
    the worker reads the end of the stream as soon as the server is gone, in whatever way it ended.

    Args:
        studies: the studies folder, or the PACS.
        config: the settings of the server.

    Raises:
        WorkerEndedError: the process ended at its start.
    """

    def __init__(self, studies: Place, config: ZeusConfig) -> None:
        self._connection, worker_end = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", WORKER, str(worker_end.fileno())],
            pass_fds=[worker_end.fileno()],
            stdin=subprocess.DEVNULL,
            env=server_environment(),
        )
        worker_end.close()
        lower_priority_of(self._process.pid)
        self._send({"studies": str(studies), "config": config.model_dump(mode="json")})
        self._receive()

    def learn(self, study: str, *, interrupted: Callable[[], bool]) -> Reply:
        """Learn from a study; see `Worker`."""
        self._send({"learn": study})
        is_cancelled = False
        while not self._answers():
            if not is_cancelled and interrupted():
                is_cancelled = True
                self._send(CANCEL)
        return self._receive()

    def close(self) -> None:
        """End the process."""
        with suppress(OSError):
            self._connection.close()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_TIMEOUT_S)

    def _answers(self) -> bool:
        """Whether an answer, or the end of the worker, arrives within a moment."""
        try:
            return self._connection.poll(_POLL_S)
        except OSError as error:
            raise self._ended() from error

    def _send(self, message: Reply) -> None:
        try:
            self._connection.send_bytes(json.dumps(message).encode())
        except OSError as error:
            raise self._ended() from error

    def _receive(self) -> Reply:
        try:
            reply: Reply = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise self._ended() from error
        return reply

    def _ended(self) -> WorkerEndedError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_TIMEOUT_S)
        return WorkerEndedError(f"the worker process ended with code {self._process.poll()}")
