"""The NIfTI file that a client gets of a sequence: the original, or a copy of what is in none.

Slicer reads with ITK, Zeus with nibabel, and a NIfTI header may say two things: where its sform and
qform differ or are absent, with units other than mm, or with two axes, the two put the same file at
different places. Then the client gets a copy as well, which both put where Zeus does.
"""

import os
from functools import partial
from pathlib import Path

from zeus_app.labels.files import write_volume
from zeus_app.storage.atomic import write_atomically, write_text_atomically
from zeus_app.types import Volume, VolumeSource
from zeus_app.volumes.sources import NiftiSource, itk_agrees
from zeus_app.volumes.voxels import check_right_angles

Versions = tuple[tuple[str, int, int], ...]


def versions(source: VolumeSource) -> Versions:
    """Path, time and size of every file: what a replaced file differs in, be it newer or older."""
    stats = ((path, os.stat(path)) for path in source.files)
    return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in stats)


def ready_file(source: VolumeSource, copy: Path, now: Versions) -> Path | None:
    """The original if clients may read it, else the copy if it was made of the files as they are.

    Raises:
        InputError: the original is unreadable.
    """
    if isinstance(source, NiftiSource) and itk_agrees(source):
        return source.path
    note = _note(copy)
    made_of = note.read_text(encoding="utf-8") if note.exists() and copy.exists() else ""
    return copy if made_of == repr(now) else None


def write_copy(copy: Path, volume: Volume, now: Versions) -> Path:
    """Write the copy, and then beside it what it was made of.

    Raises:
        InputError: the grid is one that ITK does not know.
    """
    check_right_angles(volume.grid, f"an image for the file {copy.name}")
    write_atomically(copy, partial(write_volume, volume=volume))
    write_text_atomically(_note(copy), repr(now))
    return copy


def _note(copy: Path) -> Path:
    return copy.with_name(f"{copy.name}.made-of")
