"""Results that are made in the background, after the answer to a client."""

import logging
import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

from zeus_app.errors import BusyError, InputError

Make = Callable[[str, str], object]
"""Makes the result of a study's tag."""
Note = Callable[[str, str, str], object]
"""Notes for a study's tag why its result could not be made."""
WaitUntilIdle = Callable[[str], AbstractContextManager[object]]
"""Waits until no other heavy job runs, then gives way to every job that comes."""
logger = logging.getLogger(__name__)


class ResultQueue:
    """Makes one result after another, in one thread that starts with the first.

    Args:
        make: makes a result.
        note: notes an error. Errors are logged too.
        idle: waits for the first moment in which nothing else runs.
    """

    def __init__(self, make: Make, note: Note, idle: WaitUntilIdle) -> None:
        self._make, self._note, self._idle = make, note, idle
        self._queue: queue.Queue[tuple[str, str]] = queue.Queue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, study: str, tag: str) -> None:
        """Make the result of a study's newest mask of a tag; returns at once."""
        self._queue.put((study, tag))
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="results", daemon=True)
                self._thread.start()

    def wait(self) -> None:
        """Wait until all are made."""
        self._queue.join()

    def _work(self) -> None:
        while True:
            study, tag = self._queue.get()
            try:
                with self._idle(study):
                    pass  # a result takes a second or two; jobs that come now need not wait
                self._make(study, tag)
            except Exception as error:
                self._tell(study, tag, error)
            finally:
                self._queue.task_done()

    def _tell(self, study: str, tag: str, error: Exception) -> None:
        """Log an error and note it. A fault of Zeus gets its traceback in the log alone."""
        if isinstance(error, InputError | BusyError):
            reason = str(error)
        elif isinstance(error, OSError):
            reason = f"the server cannot read or store a file: {error.strerror}"
        else:
            reason = f"a fault of Zeus ({type(error).__name__}); the server's log tells more"
            logger.error("Zeus: a fault in the results", exc_info=error)
        logger.warning("Zeus: no DICOM result of %s (%s): %s", study, tag, reason)
        with suppress(OSError):  # of a full disk
            self._note(study, tag, reason)
