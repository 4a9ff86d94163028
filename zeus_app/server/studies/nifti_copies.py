"""The NIfTI file of a sequence for a client: the original file, or a copy.

A sequence that is not in a NIfTI file of its own is copied into one. So is a NIfTI file that ITK
(3D Slicer) and Zeus read differently: sform and qform differ or are absent, there are two axes, or
the suffix does not tell whether the file is gzip. A file whose unit is not mm is copied too. ITK
places the copy, which is in mm, where Zeus places the original.
"""

from functools import partial
from pathlib import Path

from zeus_app.labels.files import write_volume
from zeus_app.storage.atomic import write_atomically, write_text_atomically
from zeus_app.studies.versions import Version
from zeus_app.types import Volume, VolumeSource
from zeus_app.volumes.sources import NiftiSource, itk_agrees
from zeus_app.volumes.voxels import check_right_angles


def ready_file(source: VolumeSource, copy: Path, version: Version) -> Path | None:
    """The original file if clients can read it, else the copy if it is up to date, else None.

    Args:
        source: the sequence.
        copy: path of the copy.
        version: of the source, by `version_of`.

    Raises:
        InputError: the original cannot be read.
    """
    if isinstance(source, NiftiSource) and itk_agrees(source):
        return source.path
    note = _version_path(copy)
    copied_version = note.read_text(encoding="utf-8") if note.exists() and copy.exists() else ""
    return copy if copied_version == repr(version) else None


def write_copy(copy: Path, volume: Volume, version: Version) -> Path:
    """Write the copy, and then the version of its source's files beside it.

    Raises:
        InputError: ITK cannot represent the grid.
    """
    check_right_angles(volume.grid, f"an image for the file {copy.name}")
    write_atomically(copy, partial(write_volume, volume=volume))
    write_text_atomically(_version_path(copy), repr(version))
    return copy


def _version_path(copy: Path) -> Path:
    return copy.with_name(f"{copy.name}.made-of")
