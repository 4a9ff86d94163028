"""The sequences that their studies go on without, because their voxels cannot be used.

That shows when a sequence is read, and not when its study is found. It stays so until the files of
the sequence change.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zeus_app.studies.candidates import files_of
from zeus_app.studies.file_times import FileTimes
from zeus_app.studies.read import without
from zeus_app.studies.versions import version_of, watched_files
from zeus_app.types import Grid, StudyFiles, StudyProblem, VolumeSource

MAX_GRIDS = 4096  # kept in memory
Key = tuple[object, ...]


def key_of(sequence: str, source: VolumeSource) -> Key:
    """Names a sequence and the version of its files; channels of one file are told apart.

    Raises:
        OSError: a file is gone.
    """
    return (sequence, *version_of(source))


class ReadGrids:
    """The grids of sequences whose voxels were read, once for each version of their files."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._grids: dict[Key, Grid] = {}

    def grid(self, sequence: str, source: VolumeSource) -> Grid:
        """The grid, of which at most headers are read. Raises InputError, or OSError."""
        return self._grids.get(key_of(sequence, source)) or source.grid()

    def check(self, sequence: str, source: VolumeSource) -> None:
        """Read the voxels, if these files were not read yet. Raises InputError, or OSError."""
        # Not the study's id: the study of a session has another one in each request.
        key = key_of(sequence, source)
        grid = self._grids.get(key) or source.load().grid
        with self._lock:
            self._grids[key] = grid
            while len(self._grids) > MAX_GRIDS:
                del self._grids[next(iter(self._grids))]


@dataclass(frozen=True)
class LeftOut:
    """One sequence that cannot be used, with the reason, and its files as they were."""

    source: VolumeSource
    reason: str
    times: FileTimes


class LeftOutSequences:
    """Remembers which sequences cannot be used, and why, until their files change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, tuple[Path, ...]], LeftOut] = {}

    def add(self, files: StudyFiles, reasons: Mapping[str, str], *, since_ns: int) -> None:
        """Remember sequences of a study.

        Args:
            files: the study.
            reasons: sequence name -> why it cannot be used.
            since_ns: when their reading began, in nanoseconds since 1970.
        """
        for sequence, reason in reasons.items():
            source = files.sources[sequence]
            times = FileTimes(watched_files(source), since_ns=since_ns)
            with self._lock:
                self._known[sequence, source.files] = LeftOut(source, reason, times)

    def applied_to(self, files: StudyFiles) -> StudyFiles:
        """The study without the sequences that cannot be used."""
        with self._lock:
            known = {
                name: self._known.get((name, source.files))
                for name, source in files.sources.items()
            }
        reasons = {
            name: each.reason
            for name, each in known.items()
            if each and each.source == files.sources[name] and not each.times.changed()
        }
        return without(files, reasons) if reasons else files

    def changed(self) -> bool:
        """Whether files have changed since the last call, so that a sequence may be used now."""
        with self._lock:
            known = dict(self._known)
        changed = {key for key, each in known.items() if each.times.changed()}
        with self._lock:
            self._known = {key: each for key, each in self._known.items() if key not in changed}
        return bool(changed)

    def forget(self) -> None:
        """Give every sequence another chance."""
        with self._lock:
            self._known.clear()


def problem_of(files: StudyFiles, rest: StudyFiles) -> StudyProblem:
    """A study whose sequences were all left out.

    Args:
        files: the study as it was found.
        rest: the same study without them.
    """
    new = rest.unused[len(files.unused) :]
    reasons = dict.fromkeys(image.reason for image in new)
    return StudyProblem(files.id, files_of(files.sources), " ".join(reasons))
