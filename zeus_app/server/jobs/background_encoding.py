"""Encoding a study in the background as soon as a client opens it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import Any, Protocol

from zeus_app.errors import InputError
from zeus_app.progress import Report
from zeus_app.server.jobs.jobs import Jobs
from zeus_app.types import SliceStack

logger = logging.getLogger(__name__)

MOST = 4
"""Studies that are remembered as open; opening a fifth forgets the oldest."""
_AFTER_YOU_S = 0.05
"""A click that waited for the same pictures goes first, before one that nobody asked for begins."""
_FINISHED = 16  # versions of studies' files that no click has prepared again


class Prepare(Protocol):
    """Encodes a study into the cache; see `Segmenter.prepare`."""

    def __call__(
        self, stack: SliceStack, *, report: Report, wanted: Callable[[], Collection[int]]
    ) -> None:
        """Encode every slice, the wanted ones first."""


@dataclass(eq=False)
class _Opened:
    study: str
    version: Hashable
    read: Callable[[], SliceStack]
    first: tuple[int, ...]
    stage: str = "waiting"
    done: int = 0
    total: int = 0

    def as_json(self) -> dict[str, Any]:
        return {"study": self.study, "stage": self.stage, "done": self.done, "total": self.total}


class _MakeRoomError(Exception):
    """Another study was opened since: leave off here and come back later."""


class BackgroundEncoder:
    """Prepares the studies that clients opened, the newest first, while nothing else runs.

    One thread, which starts when a study is opened and ends when all are prepared. A study that
    fails is logged; its inference will say why.

    Args:
        jobs: the line of this process.
        prepare: encodes one study.
    """

    def __init__(self, jobs: Jobs, prepare: Prepare) -> None:
        self._jobs, self._prepare = jobs, prepare
        self._lock = threading.Lock()
        self._open: list[_Opened] = []  # the newest first
        self._finished: deque[Hashable] = deque(maxlen=_FINISHED)
        self._thread: threading.Thread | None = None

    def open(
        self,
        study: str,
        version: Hashable,
        read: Callable[[], SliceStack],
        *,
        first: tuple[int, ...] = (),
        again: bool = True,
    ) -> None:
        """Prepare a study next.

        Args:
            study: what clients see it called.
            version: of its files.
            read: gives its pictures; called in the background.
            first: slices to encode before others, axial indices on the study's canonical grid.
            again: even if this version was prepared lately; the cache may have lost it since.
        """
        with self._lock:
            if version in self._finished and not again:
                return
            known = next((one for one in self._open if one.version == version), None)
            opened = known or _Opened(study, version, read, first)
            opened.first = first or opened.first
            self._open = [opened, *(one for one in self._open if one is not opened)][:MOST]
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="prepare", daemon=True)
                self._thread.start()

    def as_json(self) -> list[dict[str, Any]]:
        """What is prepared or waits for it, in order."""
        with self._lock:
            return [one.as_json() for one in self._open]

    def _work(self) -> None:
        while (opened := self._next()) is not None:
            try:
                self._prepare_one(opened)
            except _MakeRoomError:
                opened.stage = "waiting"
                continue
            except InputError as error:
                logger.warning("study %s was not prepared: %s", opened.study, error)
            except Exception:
                logger.exception("study %s was not prepared", opened.study)
            self._finish(opened)

    def _next(self) -> _Opened | None:
        with self._lock:
            if not self._open:
                self._thread = None
            return next(iter(self._open), None)

    def _finish(self, opened: _Opened) -> None:
        with self._lock:
            self._open = [one for one in self._open if one is not opened]
            self._finished.append(opened.version)

    def _prepare_one(self, opened: _Opened) -> None:
        with self._jobs.background(opened.study):
            opened.stage = "reading"  # when nothing else runs
        stack = opened.read()  # outside of the turn, so that a click need not wait for the disk
        time.sleep(_AFTER_YOU_S)
        with self._jobs.background(opened.study) as job:

            def report(stage: str, done: int, total: int) -> None:
                opened.stage, opened.done, opened.total = stage, done, total
                if self._open[0] is not opened:
                    raise _MakeRoomError
                job(stage, done, total)

            self._prepare(stack, report=report, wanted=lambda: opened.first)
