"""A file on its way into the weights folder: hashed, compared, put in place whole or not at all."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeAlias

from zeus_app.errors import InputError
from zeus_app.weights.entries import Weight, WeightFile
from zeus_app.weights.folder import folder_of
from zeus_app.weights.records import Records

CHUNK_BYTES = 1 << 20

# Told the bytes that have arrived since it was last called; may raise CancelledError.
Count: TypeAlias = Callable[[int], None]


def copy_hashing(stream: IO[bytes], target: Path, count: Count) -> str:
    """Copy a stream into a new file, to the disk. Returns its SHA-256."""
    digest = hashlib.sha256()
    with target.open("wb") as out:
        while chunk := stream.read(CHUNK_BYTES):
            out.write(chunk)
            digest.update(chunk)
            count(len(chunk))
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def put_in_place(
    arrived: Path, sha256: str, *, weight: Weight, file: WeightFile, stated: str | None = None
) -> None:
    """Give a file that arrived its name, when its hash is the expected one.

    Args:
        arrived: the file under another name, on the same disk; it is gone afterwards.
        sha256: its hash.
        weight: what it belongs to.
        file: what it should be.
        stated: the hash that the source itself gives, where the registry knows none.

    Raises:
        InputError: it has another hash; nothing was put in place.
    """
    target = folder_of(weight) / file.name
    records = Records(target.parent)
    expected = records.expected(file) or stated
    if expected and sha256 != expected:
        arrived.unlink()
        raise InputError(
            f"{file.path} of {weight.source_of(file)} has SHA-256 {sha256}",
            expected=f"SHA-256 {expected}",
            remedy="try again; if it stays so, the source holds another file than the one Zeus "
            f"knows: check where it was fetched from, or put the right file at {target} by hand",
        )
    os.replace(arrived, target)
    records.record(target, file, sha256)
