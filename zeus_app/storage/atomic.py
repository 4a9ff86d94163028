"""Writing files whole or not at all."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary neighbour of `path`, then put it in place by a rename.

    Args:
        path: where the file is to be; its folder is made.
        write: gets a path with the same ending to write to.

    Raises:
        Whatever `write` raises; `path` is then as it was before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ending = "".join(path.suffixes)
    temporary = path.parent / f".writing-{uuid.uuid4().hex}{ending}"
    try:
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text whole or not at all."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
