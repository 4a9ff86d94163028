"""The recorded hashes of a weight's files, in `hashes.json` beside them.

A file whose hash no public source states is compared with its record. For a big file, the record
also shows whether it has changed since it was hashed: another size or modification time.
"""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from zeus_app.errors import InputError
from zeus_app.storage.artifacts import sha256_of
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.types import GIB
from zeus_app.weights.entries import WeightFile

logger = logging.getLogger(__name__)

# SHA-256 runs at 0.4-1.5 GB/s on one core, so a file of this size takes 1-3 s at every start.
ALWAYS_HASHED_BYTES = GIB


@dataclass(frozen=True)
class _Record:
    sha256: str
    size_bytes: int
    mtime_ns: int


class Records:
    """The records of a weight's folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "hashes.json"

    def expected(self, file: WeightFile) -> str | None:
        """The SHA-256 that a file must have; None if it is neither stated nor recorded."""
        record = self._read().get(file.name)
        return file.sha256 or (record.sha256 if record else None)

    def recorded_hash(self, path: Path) -> str | None:
        """The recorded hash if size and modification time are unchanged; the file is not read."""
        record = self._read().get(path.name)
        stat = path.stat()
        unchanged = record and (record.size_bytes, record.mtime_ns) == (
            stat.st_size,
            stat.st_mtime_ns,
        )
        return record.sha256 if record and unchanged else None

    def hash_of(self, path: Path, *, thorough: bool) -> str:
        """SHA-256 of a file; above ALWAYS_HASHED_BYTES the recorded one, unless `thorough`."""
        if not thorough and path.stat().st_size > ALWAYS_HASHED_BYTES:
            return self.recorded_hash(path) or sha256_of(path)
        return sha256_of(path)

    def record(self, path: Path, file: WeightFile, sha256: str) -> None:
        """Record the hash of an intact file. A small file with a stated hash needs no record.

        In a read-only folder nothing is recorded, and the log says so.
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
            logger.warning("the hash of %s is not recorded: %s", path, error)

    def _read(self) -> dict[str, _Record]:
        if not self.path.is_file():
            return {}
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            return {name: _Record(**record) for name, record in content.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(
                f"{self.path} cannot be read: {error}",
                expected="the hashes that Zeus recorded for the weights beside it",
                remedy=f"if you trust these weights, run `rm {self.path}`; Zeus then records their"
                " hashes again",
            ) from error
