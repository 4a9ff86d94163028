"""Put a downloaded file into the weights folder: hashed, compared, and complete or not at all."""

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, TypeAlias

from zeus_app.errors import InputError
from zeus_app.types import MIB
from zeus_app.weights.entries import Weight, WeightFile
from zeus_app.weights.folder import folder_of
from zeus_app.weights.records import Records

CHUNK_BYTES = MIB

# Called with the number of bytes since its last call; may raise CancelledError.
Count: TypeAlias = Callable[[int], None]


def copy_hashing(stream: IO[bytes], target: Path, count: Count) -> str:
    """Copy a stream into a new file, flush it to disk, and return its SHA-256."""
    chunks = iter(lambda: stream.read(CHUNK_BYTES), b"")
    with target.open("wb") as out:
        return write_hashing(chunks, out, hashlib.sha256(), count)


def write_hashing(
    chunks: Iterable[bytes], out: IO[bytes], digest: "hashlib._Hash", count: Count
) -> str:
    """Write chunks, flush them to disk, and return the SHA-256 in hex.

    Args:
        chunks: of a file, or of the rest of one.
        out: a file open for writing, at its end.
        digest: a SHA-256 of the bytes that `out` has already.
        count: called with the number of bytes of each chunk.
    """
    for chunk in chunks:
        out.write(chunk)
        digest.update(chunk)
        count(len(chunk))
    out.flush()
    os.fsync(out.fileno())
    return digest.hexdigest()


def put_in_place(
    temporary: Path, sha256: str, *, weight: Weight, file: WeightFile, stated: str | None = None
) -> None:
    """Rename a downloaded file to its final name if its hash is the expected one.

    Args:
        temporary: the downloaded file, on the same disk. It is gone afterwards.
        sha256: its hash.
        weight: the weight that it belongs to.
        file: the registry's entry for it.
        stated: the hash that the source states, for a file whose hash the registry lacks.

    Raises:
        InputError: the hash is another one; the file is removed and nothing is put in place.
    """
    target = folder_of(weight) / file.name
    records = Records(target.parent)
    expected = records.expected(file) or stated
    if expected and sha256 != expected:
        temporary.unlink()
        raise InputError(
            f"{file.path} of {weight.source_of(file)} has SHA-256 {sha256}",
            expected=f"SHA-256 {expected}",
            remedy=f"run `zeus weights get {weight.name}` again. If the hash stays the same, the"
            " source has another file than Zeus expects: check the address, or put the right file"
            f" at {target} by hand",
        )
    os.replace(temporary, target)
    records.record(target, file, sha256)
