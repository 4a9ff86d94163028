"""Locks that hold between threads and between processes.

The system releases the lock of a process that ends. Each call opens the file anew, so threads of
one process exclude each other too (flock(2)).
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Wait until nobody else holds the lock, and hold it in the body.

    Args:
        path: the lock file. It is created with its folder, and stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def shared_lock(path: Path) -> Iterator[None]:
    """Wait until nobody holds the lock alone, and hold it in the body together with others.

    Args:
        path: the lock file, as for `file_lock`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextmanager
def free_lock(path: Path) -> Iterator[bool]:
    """Hold the lock in the body if nobody else holds it; tells whether it is held. Waits for none.

    Args:
        path: the lock file, as for `file_lock`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
