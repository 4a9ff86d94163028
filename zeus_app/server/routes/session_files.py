"""The images of a session: saved from a request's files, or unpacked from its ZIP."""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from fastapi import UploadFile

from zeus_app.errors import InputError, TooLargeError
from zeus_app.server.routes.saved_upload import check_file_name, file_name, save
from zeus_app.studies.uploads import is_image

MAX_ENTRIES = 20_000
MAX_DEPTH = 20
_SYSTEM_FOLDER = "__macosx"  # of archives that macOS packs
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError)
"""Of damaged archives; RuntimeError: a password; NotImplementedError: a method of packing."""


def save_files(files: Sequence[UploadFile], folder: Path) -> Path:
    """Save the files of a request.

    Returns:
        the file, or the folder of several files.

    Raises:
        InputError: a name is no file's name, is used twice, or is not that of an image.
    """
    for file in files:
        path = folder / file_name(file, default="image.nii.gz")
        if path.exists():
            raise InputError(
                f"two files named {path.name!r}",
                expected="another name for each file",
                remedy="name each file after its sequence, for example t1.nii.gz and t2.nii.gz",
            )
        save(file.file, path)
    saved = sorted(folder.iterdir())
    _refuse_others(saved, folder)
    return saved[0] if len(saved) == 1 else folder


def unpack(file: UploadFile, folder: Path, *, max_bytes: int) -> Path:
    """Unpack the ZIP of a study's images. Hidden files are left out.

    Args:
        file: the archive.
        folder: an empty folder.
        max_bytes: of all unpacked files together.

    Returns:
        the folder.

    Raises:
        TooLargeError: the archive unpacks to more.
        InputError: it is no whole ZIP, or an entry leads out of the folder or is no image.
    """
    name = file_name(file, default="study.zip")
    try:
        if not name.lower().endswith(".zip"):
            raise zipfile.BadZipFile("another name")
        with zipfile.ZipFile(file.file) as archive:
            _unpack(_wanted(archive, name, max_bytes), archive, folder)
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk failed, not the archive
        raise InputError(
            f"{name!r} with uncompress=true",
            expected="one whole ZIP without a password, named *.zip",
            remedy="pack the files again as study.zip, or send them unpacked, without uncompress",
        ) from error
    _refuse_others([path for path in folder.rglob("*") if path.is_file()], folder)
    return folder


def _wanted(archive: zipfile.ZipFile, name: str, max_bytes: int) -> list[zipfile.ZipInfo]:
    """The entries that are files, all of them checked before one is unpacked."""
    entries = archive.infolist()
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_ENTRIES or total > max_bytes:
        raise TooLargeError(
            f"{name!r} with {len(entries)} files of {total} bytes",
            expected=f"at most {MAX_ENTRIES} files, and {max_bytes} bytes",
            remedy="send one study alone, or start the server with a larger --set max_upload_mib",
        )
    for entry in entries:
        _check_entry(entry)
    return [entry for entry in entries if not (entry.is_dir() or _is_hidden(entry))]


def _is_hidden(entry: zipfile.ZipInfo) -> bool:
    parts = _parts(entry)
    return any(part.startswith(".") or part.lower() == _SYSTEM_FOLDER for part in parts)


def _check_entry(entry: zipfile.ZipInfo) -> None:
    parts = _parts(entry)
    mode = entry.external_attr >> 16
    is_special = stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)
    if is_special or entry.filename.startswith(("/", "\\")) or len(parts) > MAX_DEPTH:
        raise InputError(
            f"an archive with the entry {entry.filename[:80]!r}",
            expected=f"files in at most {MAX_DEPTH} folders, without links",
            remedy="pack the images themselves, for example with zip -r study.zip study",
        )
    for part in parts:
        check_file_name(part)


def _parts(entry: zipfile.ZipInfo) -> tuple[str, ...]:
    return tuple(part for part in entry.filename.replace("\\", "/").split("/") if part != "")


def _unpack(entries: Sequence[zipfile.ZipInfo], archive: zipfile.ZipFile, folder: Path) -> None:
    for entry in entries:
        path = folder / PurePosixPath(*_parts(entry))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as packed:
                save(packed, path)
        except (FileExistsError, NotADirectoryError) as error:
            raise InputError(
                f"an archive with two entries called {entry.filename[:80]!r}",
                expected="another name for each file",
                remedy="pack the files again as study.zip",
            ) from error


def _refuse_others(files: Sequence[Path], folder: Path) -> None:
    """Refuse files that are no images. A case list, for one, could name files of the server."""
    others = [str(path.relative_to(folder)) for path in files if not is_image(path)]
    if others or not files:
        shutil.rmtree(folder, ignore_errors=True)
        raise InputError(
            f"a session with {', '.join(map(repr, others[:5])) if others else 'no file'}",
            expected="images alone: NIfTI, MetaImage, NRRD or DICOM",
            remedy="send one file per sequence, named after it, for example t2.nii.gz",
        )
