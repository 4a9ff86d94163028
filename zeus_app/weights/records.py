"""The hashes of a weight's files, kept beside them in `hashes.json`.

For a file whose hash no public source states, the record is what it is compared with. For a big
one it also tells whether the file is still the one that was hashed: same size, same mtime.
"""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from zeus_app.errors import InputError
from zeus_app.storage.artifacts import sha256_of
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.weights.entries import WeightFile

logger = logging.getLogger(__name__)

# At the 0.4-1.5 GB/s of SHA-256 on one core a file of this size takes 1-3 s at every start.
ALWAYS_HASHED_BYTES = 1 << 30


@dataclass(frozen=True)
class _Record:
    sha256: str
    size_bytes: int
    mtime_ns: int


class Records:
    """The records of one weight's folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "hashes.json"

    def expected(self, file: WeightFile) -> str | None:
        """The SHA-256 the file must have; None when it is stated nowhere and was never recorded."""
        record = self._read().get(file.name)
        return file.sha256 or (record.sha256 if record else None)

    def recorded_hash(self, path: Path) -> str | None:
        """The hash recorded for this very file (same size, same mtime), without reading it."""
        record = self._read().get(path.name)
        stat = path.stat()
        same = record and (record.size_bytes, record.mtime_ns) == (stat.st_size, stat.st_mtime_ns)
        return record.sha256 if record and same else None

    def hash_of(self, path: Path, *, thorough: bool) -> str:
        """SHA-256 of a file; of one above ALWAYS_HASHED_BYTES the kept one, unless `thorough`."""
        if not thorough and path.stat().st_size > ALWAYS_HASHED_BYTES:
            return self.recorded_hash(path) or sha256_of(path)
        return sha256_of(path)

    def record(self, path: Path, file: WeightFile, sha256: str) -> None:
        """Record the hash of a file found right; a small file with a stated hash needs no record.

        In a folder that cannot be written nothing is recorded, and the log says so.
        """
        stat = path.stat()
        if file.sha256 and stat.st_size <= ALWAYS_HASHED_BYTES:
            return
        if self.recorded_hash(path) == sha256:
            return
        records = {**self._read(), path.name: _Record(sha256, stat.st_size, stat.st_mtime_ns)}
        text = json.dumps({name: asdict(record) for name, record in records.items()}, indent=1)
        try:
            write_text_atomically(self.path, text)
        except OSError as error:
            logger.warning("hash of %s not recorded: %s", path, error)

    def _read(self) -> dict[str, _Record]:
        if not self.path.is_file():
            return {}
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            return {name: _Record(**record) for name, record in kept.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(
                f"{self.path} cannot be read: {error}",
                expected="the hashes that Zeus recorded for the weights beside it",
                remedy="delete it if you trust these weights; their hashes are then recorded anew",
            ) from error
