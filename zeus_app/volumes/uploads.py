"""Checks of an uploaded volume's header, before a voxel is read."""

from math import prod
from pathlib import Path

from zeus_app.errors import InputError, TooLargeError
from zeus_app.types import Grid
from zeus_app.volumes.headers import ITK_READERS, check_itk_file
from zeus_app.volumes.sources import VOLUME_SUFFIXES, ItkSource, NiftiSource, is_volume


def check_upload(path: Path, *, max_voxels: int) -> None:
    """Refuse an upload that leads to another file, or that is too large to read.

    Args:
        path: the uploaded file.
        max_voxels: most voxels of a volume.

    Raises:
        TooLargeError: the header states more voxels.
        InputError: the header is damaged or states more than the file holds, the voxels lie in
            another file, or the file is a link or has another format.
    """
    if path.is_symlink() or not is_volume(path):
        raise InputError(
            f"an upload named {path.name[:80]!r}",
            expected=f"a file that ends in {', '.join(VOLUME_SUFFIXES)}",
            remedy="convert the image to NIfTI, for example t2.nii.gz",
        )
    if path.suffix.lower() in ITK_READERS and check_itk_file(path).data_file:
        raise InputError(
            f"{path.name}, whose voxels lie in another file",
            expected="one file with header and voxels",
            remedy="save the image again as one file, for example as .nii.gz, .mha or .nrrd",
        )
    voxels = prod(header_grid(path).shape)
    if voxels > max_voxels:
        raise TooLargeError(
            f"{path.name}, a volume of {voxels} voxels",
            expected=f"at most {max_voxels} voxels",
            remedy="crop or resample it, or start the server with a larger --set max_voxels",
        )


def header_grid(path: Path) -> Grid:
    """The grid that a file's header states. Raises InputError if the file cannot hold it."""
    source = ItkSource(path) if path.suffix.lower() in ITK_READERS else NiftiSource(path)
    return source.grid()
