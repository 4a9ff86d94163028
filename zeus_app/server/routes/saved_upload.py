"""An uploaded file as a temporary file on disk, for as long as a request reads it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import UploadFile


@contextmanager
def saved_upload(file: UploadFile, *, default_name: str) -> Iterator[Path]:
    """Save an upload to a temporary folder, which is removed at the end.

    The file keeps the client's name without its folders: the name says which sequence it holds.

    Args:
        file: the upload.
        default_name: the file's name if the client sent none.

    Yields:
        The path of the saved file.
    """
    with tempfile.TemporaryDirectory(prefix="zeus-") as folder:
        path = Path(folder) / (Path(file.filename or "").name or default_name)
        path.write_bytes(file.file.read())
        yield path
