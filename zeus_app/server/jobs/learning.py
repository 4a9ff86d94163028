"""Learning after each case: a queue of submitted labels before one worker process."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from zeus_app.server.jobs.learning_process import CANCELLED, Reply, Worker, WorkerEndedError

MAX_RESULTS = 20
"""Results that GET /zeus/learning shows."""
_ATTEMPTS = 2  # a case at which the worker ended is tried once more, in a new worker
_POLL_S = 0.5  # how often a waiting case asks whether the ordinary training has ended

logger = logging.getLogger(__name__)


class CaseLearning:
    """Hands submitted labels to a worker, one after another. An ordinary training comes first.

    One thread waits for cases and for the worker. It never holds up a request.

    Args:
        mode: the setting `learn`. With "off" nothing starts.
        start_worker: starts a worker, and returns when it is ready.
        is_training: whether an ordinary training runs.
    """

    def __init__(
        self,
        mode: Literal["off", "on", "ask"],
        *,
        start_worker: Callable[[], Worker],
        is_training: Callable[[], bool],
    ) -> None:
        self._mode = mode
        self._start_worker, self._is_training = start_worker, is_training
        self._changed = threading.Condition()
        self._queue: deque[str] = deque()
        self._results: deque[dict[str, Any]] = deque(maxlen=MAX_RESULTS)  # the newest first
        self._state = "off" if mode == "off" else "idle"
        self._study = ""
        self._worker: Worker | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def start(self) -> None:
        """Start the worker, if the settings allow, so that it is warm at the first label."""
        with self._changed:
            if self._mode != "off" and self._thread is None and not self._is_closed:
                self._thread = threading.Thread(
                    target=self._work, name="case-learning", daemon=True
                )
                self._thread.start()

    def submit(self, study: str) -> None:
        """Learn from a study whose final label has changed, if the settings allow."""
        if self._mode == "off":
            return
        with self._changed:
            if study not in self._queue:  # a waiting case is read when its turn comes
                self._queue.append(study)
            self._changed.notify_all()
        self.start()

    def close(self) -> None:
        """End the worker. Waiting cases are dropped; their labels stay."""
        with self._changed:
            self._is_closed = True
            worker, self._worker = self._worker, None
            self._changed.notify_all()
        if worker:
            worker.close()

    def as_json(self) -> dict[str, Any]:
        """GET /zeus/learning."""
        with self._changed:
            return {
                "learn": self._mode,
                "state": self._state,
                "study": self._study,
                "queue": list(self._queue),
                "results": list(self._results),
            }

    def _work(self) -> None:
        self._warm_up()
        while (study := self._next()) is not None:
            reply = self._learn(study)
            with self._changed:
                self._study = ""
                if self._is_closed:
                    return
                if reply == CANCELLED:
                    self._queue.appendleft(study)
                    continue
            self._record(study, reply)

    def _warm_up(self) -> None:
        try:
            self._ready_worker()
        except WorkerEndedError as error:
            logger.warning("Zeus: learning after each case: %s", error)

    def _next(self) -> str | None:
        """Wait for a case and for the end of an ordinary training; None when closed."""
        with self._changed:
            while not self._is_closed:
                if self._queue and not self._is_training():
                    self._state, self._study = "learning", self._queue.popleft()
                    return self._study
                self._state = "waiting" if self._queue else "idle"
                self._changed.wait(_POLL_S if self._queue else None)
            return None

    def _learn(self, study: str) -> Reply:
        error = ""
        for _ in range(_ATTEMPTS):
            try:
                return self._ready_worker().learn(study, interrupted=self._is_interrupted)
            except WorkerEndedError as ended:
                error = str(ended)
                with self._changed:
                    self._worker = None
                    if self._is_closed:
                        break
                logger.warning("Zeus: learning after %s: %s", study, error)
            except Exception as failure:
                logger.exception("Zeus: learning after %s failed", study)
                return {"error": f"{type(failure).__name__}: {failure}"}
        return {"error": error}

    def _is_interrupted(self) -> bool:
        return self._is_closed or self._is_training()

    def _ready_worker(self) -> Worker:
        """The worker; a new one if there is none or the last one ended.

        Raises:
            WorkerEndedError: the new one ended at its start, or the server ends.
        """
        with self._changed:
            if self._worker:
                return self._worker
            before, self._state = self._state, "starting"
        try:
            worker = self._start_worker()
        finally:
            with self._changed:
                self._state = before
        with self._changed:
            if not self._is_closed:
                self._worker = worker
                return worker
        worker.close()
        raise WorkerEndedError("the server ends")

    def _record(self, study: str, reply: Reply) -> None:
        result = {
            "study": study,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "decision": _decision(reply),
            **({"reason": reply["error"]} if "error" in reply else reply),
        }
        log = logger.warning if "error" in reply else logger.info
        log("Zeus: learning after %s: %s: %s", study, result["decision"], result["reason"])
        with self._changed:
            self._results.appendleft(result)


def _decision(reply: Reply) -> str:
    """What became of a case, in one word for a client."""
    if "error" in reply:
        return "failed"
    if reply["served"]:
        return "served"
    if reply["version"]:
        return "stored"
    return "worse" if reply["score_after"] is not None else "skipped"
