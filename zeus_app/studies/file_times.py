"""Times of folders and files: whether anything has changed since they were looked at.

The time of a folder changes when an entry is added, removed or renamed. So the times of all folders
show a new study, and no file of a known study is touched. A file that grows changes its own time.
"""

import os
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

MOST_FOLDERS = 100_000
"""Folders of a studies folder whose times are compared; the upper ones first."""
COARSEST_NS = 2_000_000_000
"""Step of the times of FAT and exFAT. Two changes within a step may leave the same time."""

Stamp = tuple[int, int, int, int, int]  # device, inode, size, modification and change in ns


class FileTimes:
    """What some folders and files looked like at one moment.

    Args:
        paths: the folders and files. A missing one counts as changed when it is there.
        since_ns: when somebody began to read them, in nanoseconds since 1970. A path that changed
            at that time or later counts as changed once it has settled.
    """

    def __init__(self, paths: Iterable[str | Path], *, since_ns: int) -> None:
        self._stamps = {os.fspath(path): stamp_of(path) for path in paths}
        now_ns = time.time_ns()
        changed = [max(stamp[3:]) for stamp in self._stamps.values() if stamp]
        # A clock of another machine may be ahead; a time in the future says nothing.
        young = [at for at in changed if since_ns - COARSEST_NS <= at <= now_ns + COARSEST_NS]
        self._settled_at_ns = max(young, default=None)

    def changed(self) -> bool:
        """Whether a path changed; compares the time of each path."""
        settled = self._settled_at_ns
        if settled is not None and time.time_ns() > settled + COARSEST_NS:
            return True
        return any(stamp_of(path) != stamp for path, stamp in self._stamps.items())


def stamp_of(path: str | Path) -> Stamp | None:
    """What changes with a folder or file; None if it is not there or may not be seen."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: the path holds a NUL
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def folders_of(root: Path, *, skip: Collection[Path] = ()) -> Iterator[str]:
    """The folder and all folders below it, the upper ones first; at most `MOST_FOLDERS`.

    Links are followed, each folder comes once, and hidden folders are left out.

    Args:
        root: the folder.
        skip: folders that are left out, with all below them.
    """
    seen = {stamp[:2] for path in skip if (stamp := stamp_of(path))}
    pending = deque([os.fspath(root)])
    while pending and len(seen) < MOST_FOLDERS:
        folder = pending.popleft()
        stamp = stamp_of(folder)
        if stamp is None or stamp[:2] in seen:
            continue
        seen.add(stamp[:2])
        yield folder
        pending += _subfolders(folder)


def _subfolders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [e.path for e in entries if not e.name.startswith(".") and _is_folder(e)]
    except OSError:  # it may not be read; its own time still counts
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
