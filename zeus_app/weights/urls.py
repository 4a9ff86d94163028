"""Weights from web servers: downloads that go on where a killed one stopped."""

import fcntl
import hashlib
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

import requests

from zeus_app.errors import InputError
from zeus_app.weights.download import CHUNK_BYTES, Count, copy_hashing, put_in_place
from zeus_app.weights.entries import Url, Weight, WeightFile
from zeus_app.weights.folder import folder_of

_TIMEOUT_SECONDS = (15, 60)  # to connect; between two chunks


@dataclass(frozen=True)
class Address:
    """Where a file lies.

    Attributes:
        url: http or https.
        size: its bytes, if known.
        sha256: its hash, if known; then a resumed download needs no other proof that the server
            still has the same file.
        headers: sent with the request.
    """

    url: str
    size: int | None = None
    sha256: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def fetch_from_url(weight: Weight, source: Url, files: list[WeightFile], count: Count) -> None:
    """Download a file, or a zip whose members the files are.

    Raises:
        InputError: the download failed or was cut short, or the file is not the one expected.
    """
    if source.zip:
        _fetch_from_zip(weight, source, files, count)
        return
    for file in files:
        fetch_file(weight, file, Address(source.url, file.size, file.sha256), count)


def fetch_file(weight: Weight, file: WeightFile, address: Address, count: Count) -> None:
    """Download one file into a `.partial` beside its place, and put it there. Raises InputError."""
    partial = folder_of(weight) / f"{file.name}.partial"
    digest = download(address, partial, count)
    put_in_place(partial, digest, weight=weight, file=file, stated=address.sha256)


def download(address: Address, partial: Path, count: Count) -> str:
    """Download into `partial`, going on where an earlier call was killed. Returns the SHA-256.

    What is there is kept when the server answers with the rest (206) and says, by the ETag of the
    first answer, that the file has not changed; else the download starts anew.

    Raises:
        InputError: no answer, a refusal, or a connection that broke; what came is kept. Or
            another process is downloading the same file.
    """
    with partial.open("ab") as out:
        _lock(out, partial)
        try:
            digest = _fill(address, out, count)
        except requests.RequestException as error:
            raise InputError(
                f"download of {address.url} stopped at {partial.stat().st_size:,} bytes: {error}",
                expected="a server that sends the whole file",
                remedy="check the network and run the command again; it goes on where it stopped",
            ) from error
    _etag_path(partial).unlink(missing_ok=True)
    return digest


def _lock(out: IO[bytes], partial: Path) -> None:
    try:
        fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise InputError(
            f"{partial} is being written by another process",
            expected="one download of a file at a time",
            remedy="wait for the other download",
        ) from error


def _fill(address: Address, out: IO[bytes], count: Count) -> str:
    partial = Path(out.name)
    here = partial.stat().st_size
    if here and here == address.size:  # killed between the last byte and the new name
        return _hash_of_start(partial, count).hexdigest()
    headers = {**address.headers, "Accept-Encoding": "identity", **_resume_from(address, partial)}
    with requests.get(
        address.url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS
    ) as answer:
        if here and answer.status_code == requests.codes.requested_range_not_satisfiable:
            out.truncate(0)
            return _fill(address, out, count)
        answer.raise_for_status()
        goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {here}-")
        if not goes_on:
            out.truncate(0)
            if answer.status_code == requests.codes.partial_content:
                raise requests.RequestException("the server sent another part than asked for")
            _etag_path(partial).write_text(answer.headers.get("ETag", ""), encoding="utf-8")
        digest = _hash_of_start(partial, count)
        for chunk in answer.iter_content(CHUNK_BYTES):
            out.write(chunk)
            digest.update(chunk)
            count(len(chunk))
    out.flush()
    os.fsync(out.fileno())
    return digest.hexdigest()


def _resume_from(address: Address, partial: Path) -> dict[str, str]:
    here = partial.stat().st_size
    etag_path = _etag_path(partial)
    etag = etag_path.read_text(encoding="utf-8") if etag_path.is_file() else ""
    is_strong = etag.startswith('"')  # a weak ETag (W/"…") does not vouch for every byte
    if not here or not (address.sha256 or is_strong):
        return {}
    condition = {} if address.sha256 else {"If-Range": etag}
    return {"Range": f"bytes={here}-", **condition}


def _hash_of_start(partial: Path, count: Count) -> "hashlib._Hash":
    digest = hashlib.sha256()
    with partial.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            count(len(chunk))
    return digest


def _etag_path(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.etag")


def _fetch_from_zip(weight: Weight, source: Url, files: list[WeightFile], count: Count) -> None:
    folder = folder_of(weight)
    archive_path = folder / f"{PurePosixPath(source.url).name}.partial"
    download(Address(source.url), archive_path, count)
    try:
        with zipfile.ZipFile(archive_path) as archive:
            for file in files:
                arrived = folder / f"{file.name}.partial"
                with archive.open(file.path) as stream:
                    digest = copy_hashing(stream, arrived, count)
                put_in_place(arrived, digest, weight=weight, file=file)
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(
            f"{source.url} gave no zip with the files in it: {error}",
            expected=", ".join(file.path for file in files),
            remedy=f"check the address, or put the files into {folder} by hand",
        ) from error
    finally:
        archive_path.unlink()
