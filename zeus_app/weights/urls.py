"""Weights from web servers. A download that was killed continues where it stopped."""

import fcntl
import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

import requests

from zeus_app.errors import InputError
from zeus_app.weights.download import CHUNK_BYTES, Count, copy_hashing, put_in_place, write_hashing
from zeus_app.weights.entries import Url, Weight, WeightFile
from zeus_app.weights.folder import folder_of

_TIMEOUT_SECONDS = (15, 60)  # to connect; between two chunks


@dataclass(frozen=True)
class Address:
    """The address of a file on a web server.

    Attributes:
        url: http or https.
        size: bytes, if known.
        sha256: hash, if known. With it, a continued download needs no ETag to prove that the server
            still has the same file.
        headers: of the request.
    """

    url: str
    size: int | None = None
    sha256: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def fetch_from_url(weight: Weight, source: Url, files: list[WeightFile], count: Count) -> None:
    """Download files, or a zip that contains them.

    Raises:
        InputError: the download failed or stopped early, or the hash is wrong.
    """
    if source.zip:
        _fetch_from_zip(weight, source, files, count)
        return
    for file in files:
        fetch_file(weight, file, Address(source.url, file.size, file.sha256), count)


def fetch_file(weight: Weight, file: WeightFile, address: Address, count: Count) -> None:
    """Download a file into a `.partial`, then rename it. Raises InputError."""
    partial = folder_of(weight) / f"{file.name}.partial"
    digest = download(address, partial, count)
    put_in_place(partial, digest, weight=weight, file=file, stated=address.sha256)


def download(address: Address, partial: Path, count: Count) -> str:
    """Download into `partial`, continuing an earlier call that was killed.

    The download continues if the server sends the rest (206) and the ETag of the first response
    shows that the file is unchanged. Otherwise it starts again.

    Returns:
        The SHA-256.

    Raises:
        InputError: no response, a refusal, or a broken connection; the downloaded bytes are kept.
            Or another process is downloading the same file.
    """
    with partial.open("ab") as out:
        _lock(out, partial)
        try:
            digest = _fill(address, out, count)
        except requests.RequestException as error:
            raise InputError(
                f"download of {address.url} stopped at {partial.stat().st_size:,} bytes: {error}",
                expected="a server that sends the whole file",
                remedy="check the network and run the command again; it continues where it stopped",
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
            remedy="wait until the other download ends, then run the command again",
        ) from error


def _fill(address: Address, out: IO[bytes], count: Count) -> str:
    partial = Path(out.name)
    present = partial.stat().st_size
    if present and present == address.size:  # killed between the last byte and the new name
        return _hash_of_start(partial, count).hexdigest()
    headers = {**address.headers, "Accept-Encoding": "identity", **_resume_from(address, partial)}
    with requests.get(
        address.url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS
    ) as response:
        if present and response.status_code == requests.codes.requested_range_not_satisfiable:
            out.truncate(0)
            return _fill(address, out, count)
        response.raise_for_status()
        continues = response.headers.get("Content-Range", "").startswith(f"bytes {present}-")
        if not continues:
            out.truncate(0)
            if response.status_code == requests.codes.partial_content:
                raise requests.RequestException("the server sent another part than requested")
            _etag_path(partial).write_text(response.headers.get("ETag", ""), encoding="utf-8")
        digest = _hash_of_start(partial, count)
        return write_hashing(response.iter_content(CHUNK_BYTES), out, digest, count)


def _resume_from(address: Address, partial: Path) -> dict[str, str]:
    present = partial.stat().st_size
    etag_path = _etag_path(partial)
    etag = etag_path.read_text(encoding="utf-8") if etag_path.is_file() else ""
    is_strong = etag.startswith('"')  # a weak ETag (W/"...") may differ in bytes
    if not present or not (address.sha256 or is_strong):
        return {}
    condition = {} if address.sha256 else {"If-Range": etag}
    return {"Range": f"bytes={present}-", **condition}


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
                temporary = folder / f"{file.name}.partial"
                with archive.open(file.path) as stream:
                    digest = copy_hashing(stream, temporary, count)
                put_in_place(temporary, digest, weight=weight, file=file)
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(
            f"{source.url} is no zip with the expected files: {error}",
            expected=", ".join(file.path for file in files),
            remedy=f"check the address, or put the files into {folder} by hand",
        ) from error
    finally:
        archive_path.unlink()
