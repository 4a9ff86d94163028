"""Checks of an uploaded volume's header, before a voxel is read."""

from math import prod
from pathlib import Path

from zeus_app.errors import InputError, TooLargeError
from zeus_app.types import Grid
from zeus_app.volumes.headers import ITK_READERS, check_itk_file
from zeus_app.volumes.sources import VOLUME_SUFFIXES, ItkSource, NiftiSource, is_volume

MAX_VOXELS = 64_000_000
"""Default of the setting max_voxels. Four sequences of 256×256×192 voxels have 50 million."""


def check_upload(path: Path, *, max_voxels: int) -> int:
    """Refuse an upload that leads to another file, or that is too large to read.

    Args:
        path: the uploaded file.
        max_voxels: most voxels of a volume.

    Returns:
        The number of voxels that its header states.

    Raises:
        TooLargeError: the header states more voxels.
        InputError: the header is damaged or states more than the file holds, the voxels lie in
            another file, or the file is a link or has another format.
    """
    if path.is_symlink() or not is_volume(path):
        raise InputError(
            f"an upload named {path.name[:80]!r}",
            expected=f"a file that ends in {', '.join(VOLUME_SUFFIXES)}",
            remedy="convert the image to NIfTI, for example t2.nii.gz; DICOM files belong into the"
            " studies folder or a session",
        )
    if path.suffix.lower() in ITK_READERS and check_itk_file(path).data_file:
        raise InputError(
            f"{path.name}, whose voxels lie in another file",
            expected="one file with header and voxels",
            remedy="save the image again as one file, for example as .nii.gz, .mha or .nrrd",
        )
    return checked_count(path.name, prod(header_grid(path).shape), max_voxels=max_voxels)


def checked_count(name: str, voxels: int, *, max_voxels: int) -> int:
    """The number of voxels. Raises TooLargeError if there are more than `max_voxels`."""
    if voxels > max_voxels:
        raise TooLargeError(
            f"{name}, with {voxels} voxels",
            expected=f"at most {max_voxels} voxels",
            remedy="crop or resample it, or start the server with a larger --set max_voxels",
        )
    return voxels


def header_grid(path: Path) -> Grid:
    """The grid that a file's header states. Raises InputError if the file cannot hold it."""
    source = ItkSource(path) if path.suffix.lower() in ITK_READERS else NiftiSource(path)
    return source.grid()
