"""An uploaded file as a temporary file on disk, for as long as a request reads it."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fastapi import UploadFile

from zeus_app.errors import InputError
from zeus_app.settings.file_names import readable
from zeus_app.settings.plain_names import is_one_component

MAX_NAME_BYTES = 200  # of 255 that file systems allow; Zeus adds the number of a version
_BLOCK_BYTES = 1024 * 1024


@contextmanager
def saved_upload(file: UploadFile, *, default_name: str) -> Iterator[Path]:
    """Save an upload to a temporary folder, which is removed at the end.

    The file keeps the client's name without its folders: the name says which sequence it holds.

    Args:
        file: the upload.
        default_name: the file's name if the client sent none.

    Yields:
        The path of the saved file. Only the server's account can read it.

    Raises:
        InputError: the client's name is no file's name.
    """
    name = file_name(file, default=default_name)
    with tempfile.TemporaryDirectory(prefix="zeus-") as folder:
        path = Path(folder) / name
        save(file.file, path)
        yield path


def file_name(file: UploadFile, *, default: str) -> str:
    """The client's name of a file, without folders.

    Raises:
        InputError: it is no file's name.
    """
    name = re.split(r"[/\\]", file.filename or "")[-1] or default
    check_file_name(name)
    return name


def check_file_name(name: str) -> None:
    """Refuse a name that leads to another folder, is too long, or holds control characters."""
    is_plain = is_one_component(name) and readable(name) == name
    if not is_plain or len(os.fsencode(name)) > MAX_NAME_BYTES:
        raise InputError(
            f"a file named {name[:80]!r}",
            expected=f"a name of at most {MAX_NAME_BYTES} bytes, without control characters",
            remedy="send the file under a short name, for example t2.nii.gz",
        )


def save(source: IO[bytes], path: Path) -> None:
    """Copy a stream to a new file that only the server's account can read.

    Raises:
        FileExistsError: there is such a file.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as target:
        shutil.copyfileobj(source, target, _BLOCK_BYTES)
