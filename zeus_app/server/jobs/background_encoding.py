"""Background encoding: fill the cache with embeddings of opened and of newly labelled studies."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import Any, Protocol

from zeus_app.errors import BusyError, InputError
from zeus_app.progress import Report
from zeus_app.server.jobs.jobs import Jobs
from zeus_app.types import SliceStack

logger = logging.getLogger(__name__)

MAX_QUEUED = 4
"""Opened studies in the queue; the fifth drops the one that was opened first."""
_CLICK_HEAD_START_S = 0.05
"""Pause after reading. A click that waited for the same slices can enter the scheduler first."""
_MAX_FINISHED = 16  # encoded versions that are remembered, so that clicks do not encode them again


class EncodeStudy(Protocol):
    """Encodes a study into the cache; see `Segmenter.prepare`."""

    def __call__(
        self, stack: SliceStack, *, report: Report, first: Callable[[], Collection[int]]
    ) -> None:
        """Encode every slice; `first` returns axial slices to encode before the others."""


@dataclass(eq=False)
class _QueuedStudy:
    study: str
    version: Hashable
    read_stack: Callable[[], SliceStack]
    first: tuple[int, ...]
    labelled: bool
    stage: str = "waiting"
    done: int = 0
    total: int = 0

    def as_json(self) -> dict[str, Any]:
        return {"study": self.study, "stage": self.stage, "done": self.done, "total": self.total}


class _NotFirstError(Exception):
    """The study is not the first of the queue any more: it goes on later, or was taken off."""


class BackgroundEncoder:
    """Encodes studies while no inference runs: first the opened ones, then the labelled ones.

    Of each kind the newest comes first. One thread does the work. It starts when a study is queued
    and ends when the queue is empty. The error of a study is logged; an inference of that study
    reports it to the client.

    Args:
        jobs: where the encoding is scheduled.
        encode_study: encodes one study.
    """

    def __init__(self, jobs: Jobs, encode_study: EncodeStudy) -> None:
        self._jobs, self._encode_study = jobs, encode_study
        self._lock = threading.Lock()
        self._queue: list[_QueuedStudy] = []  # the first is encoded next
        self._finished: deque[Hashable] = deque(maxlen=_MAX_FINISHED)
        self._thread: threading.Thread | None = None

    def enqueue(
        self,
        study: str,
        version: Hashable,
        read_stack: Callable[[], SliceStack],
        *,
        first: tuple[int, ...] = (),
        again: bool = True,
        labelled: bool = False,
    ) -> None:
        """Encode a study: an opened one next, a labelled one after all opened ones.

        Args:
            study: name of the study as clients see it.
            version: identifies the study's files in their present state.
            read_stack: returns the study's slices; called in the background thread.
            first: axial slices on the canonical grid to encode before the others.
            again: whether to encode a version that was encoded lately. The cache may have dropped
                it meanwhile.
            labelled: whether the study is encoded for the next training, and was not opened.
        """
        with self._lock:
            if version in self._finished and not again:
                return
            queued = next((item for item in self._queue if item.version == version), None)
            newest = queued or _QueuedStudy(study, version, read_stack, first, labelled)
            newest.first = first or newest.first
            newest.labelled = newest.labelled and labelled
            items = [newest, *(item for item in self._queue if item is not newest)]
            opened = [item for item in items if not item.labelled][:MAX_QUEUED]
            self._queue = [*opened, *(item for item in items if item.labelled)]
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="background-encoding", daemon=True
                )
                self._thread.start()

    def leave_to_training(self) -> None:
        """Take the labelled studies off the queue, because a training encodes them itself."""
        with self._lock:
            self._queue = [item for item in self._queue if not item.labelled]

    def as_json(self) -> list[dict[str, Any]]:
        """The queued studies in their order: "preparing" in GET /zeus/progress."""
        with self._lock:
            return [item.as_json() for item in self._queue]

    def _work(self) -> None:
        while (item := self._next()) is not None:
            try:
                self._encode(item)
            except _NotFirstError:
                item.stage = "waiting"
                continue
            except (InputError, BusyError) as error:
                logger.warning("Zeus: study %s was not encoded: %s", item.study, error)
            except Exception:
                logger.exception("Zeus: study %s was not encoded", item.study)
            self._finish(item)

    def _next(self) -> _QueuedStudy | None:
        with self._lock:
            if not self._queue:
                self._thread = None
            return next(iter(self._queue), None)

    def _finish(self, finished: _QueuedStudy) -> None:
        with self._lock:
            self._queue = [item for item in self._queue if item is not finished]
            self._finished.append(finished.version)

    def _encode(self, item: _QueuedStudy) -> None:
        with self._jobs.background(item.study):
            item.stage = "reading"  # waited until no other job runs
        # Reading happens outside of the scheduler, so that a click need not wait for the disk.
        stack = item.read_stack()
        time.sleep(_CLICK_HEAD_START_S)
        with self._jobs.background(item.study) as job:

            def report(stage: str, done: int, total: int) -> None:
                item.stage, item.done, item.total = stage, done, total
                if self._queue[:1] != [item]:
                    raise _NotFirstError
                job(stage, done, total)

            self._encode_study(stack, report=report, first=lambda: item.first)
