"""Write a file completely or not at all."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`.

    An exception of `write` passes through; `path` is then unchanged.

    Args:
        path: the file to write. Its folder is created if it is missing.
        write: called with the temporary path, which has the same extension.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ending = "".join(path.suffixes)
    temporary = path.parent / f".writing-{uuid.uuid4().hex}{ending}"
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text completely or not at all."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
