"""A lock that holds between threads and between processes."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Wait until nobody else holds the lock, and hold it in the body.

    The system releases the lock of a process that ends. Each call opens the file anew, so threads
    of one process exclude each other too (flock(2)).

    Args:
        path: the lock file. It is created with its folder, and stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
