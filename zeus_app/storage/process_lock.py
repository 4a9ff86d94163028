"""A lock that one process holds, and that the system releases when the process ends."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zeus_app.errors import InputError

_POLL_S = 0.1
_PROBE_S = 0.5


class LockedError(InputError):
    """Another process holds the lock. The server answers with status 409."""

    status = 409


class ProcessLock:
    """A lock on a file. The file stays; the lock on it ends with its process, also by a kill.

    Args:
        path: the file. Its folder is created at the first use.
        subject: what the lock protects, for the message, for example "these checkpoints".
    """

    def __init__(self, path: Path, subject: str) -> None:
        self._path, self._subject = path, subject

    @contextmanager
    def hold(self, work: str, *, wait_s: float = 0.0) -> Iterator[None]:
        """Hold the lock in the body.

        Args:
            work: what the holder does, for the message of others, for example "training".
            wait_s: how long to wait for a holder that does other work.

        Raises:
            LockedError: another holder still has it.
        """
        handle = self._acquire(work, wait_s)
        try:
            note = json.dumps({"work": work, "pid": os.getpid()})
            os.ftruncate(handle, 0)
            os.pwrite(handle, note.encode(), 0)
            yield
        finally:
            os.close(handle)

    def refuse_if_held(self, work: str) -> None:
        """Raise LockedError if a holder does this work."""
        holder = self.holder()
        if holder.get("work") == work:
            raise self._error(holder)

    def holder(self) -> dict[str, Any]:
        """The holder's work and process id; empty if the lock is free."""
        try:
            handle = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return {}
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _note(handle)
        finally:
            os.close(handle)
        return {}

    def _acquire(self, work: str, wait_s: float) -> int:
        """The open, locked file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        began = time.monotonic()
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _note(handle)
                # A few tries at least: `holder` of another process locks the file for a moment.
                patience_s = _PROBE_S if holder.get("work") == work else max(wait_s, _PROBE_S)
                if time.monotonic() - began < patience_s:
                    time.sleep(_POLL_S)
                    continue
                os.close(handle)
                raise self._error(holder) from None
            return handle

    def _error(self, holder: dict[str, Any]) -> LockedError:
        work, pid = holder.get("work", "work"), holder.get("pid", "unknown")
        return LockedError(
            f"another {work} writes {self._subject} (process {pid})",
            expected="one writer at a time",
            remedy="wait for its end, or stop it, for example with DELETE /train/ at the server"
            " that started it",
        )


def _note(handle: int) -> dict[str, Any]:
    """What the holder wrote; empty while it writes."""
    try:
        note = json.loads(os.pread(handle, 1000, 0))
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}
