"""Write a file completely or not at all, and remove what killed processes left half-written."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = ".writing-"
_MAX_ENDING = 16  # characters; the temporary name must not be longer than a name may be


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`.

    An exception of `write` passes through; `path` is then unchanged.

    Args:
        path: the file to write. Its folder is created if it is missing.
        write: called with the temporary path, which has the same extension.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ending = "".join(path.suffixes[-2:])[-_MAX_ENDING:]
    temporary = path.parent / f"{_PREFIX}{uuid.uuid4().hex}{ending}"
    try:
        with _locked(temporary):
            write(temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text completely or not at all."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a temporary folder beside `path`, which is renamed to `path` at the end.

    An exception removes the temporary folder and passes through; `path` is then unchanged. A killed
    process leaves the temporary folder, whose name begins with a dot.

    Args:
        path: a new or empty folder. The folder above it is created if it is missing.

    Raises:
        OSError: `path` got content meanwhile.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{_PREFIX}{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def remove_half_written(folder: Path, *, skip: Collection[str] = ()) -> int:
    """Remove the temporary files of `write_atomically` that no process writes any more.

    A writer holds a lock on its file. The system releases the lock when the writer ends, in
    whatever way.

    Args:
        folder: searched with its subfolders. A missing folder holds none.
        skip: names of subfolders of `folder` that are not searched.

    Returns:
        How many were removed.
    """
    removed = 0
    for parent, folders, names in os.walk(folder):
        if Path(parent) == folder:
            folders[:] = [name for name in folders if name not in skip]
        for name in names:
            if name.startswith(_PREFIX):
                removed += _remove_unlocked(Path(parent) / name)
    return removed


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Create the file, and hold a lock on it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if _is_still(path, handle):
            break
        os.close(handle)  # a sweep removed the file before it was locked
    try:
        yield
    finally:
        os.close(handle)


def _is_still(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _remove_unlocked(path: Path) -> bool:
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: a writer lives
            path.unlink()
            return True
        finally:
            os.close(handle)
    return False
