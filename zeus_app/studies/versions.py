"""The present state of a sequence's voxels: what was made of them is made again when it changes."""

import os
from pathlib import Path
from typing import Protocol, runtime_checkable

from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.types import VolumeSource

Version = tuple[str, ...] | tuple[tuple[str, int, int], ...]


@runtime_checkable
class VersionedSource(Protocol):
    """A source that knows the state of its voxels, whether or not its files are on this disk."""

    @property
    def version(self) -> tuple[str, ...]:
        """Names the voxels: equal for equal voxels."""


def version_of(source: VolumeSource) -> Version:
    """The source's own version; else path, modification time (ns) and size (bytes) of its files.

    Volumes that lie in one file are told by their frames.

    Raises:
        OSError: a file is gone.
    """
    if isinstance(source, VersionedSource):
        return source.version
    stats = ((path, os.stat(path)) for path in source.files)
    files = tuple((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in stats)
    frames = source.frames if isinstance(source, DicomSeriesSource) else ()
    return files + tuple((str(path), frame, 0) for path, frame in frames)


def watched_files(source: VolumeSource) -> tuple[Path, ...]:
    """The files whose times tell that the voxels have changed; none if the source tells itself."""
    return () if isinstance(source, VersionedSource) else source.files
