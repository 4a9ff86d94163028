"""Image files as sources of voxels: NIfTI, one channel of a 4-D NIfTI, MetaImage, NRRD.

Every source loads a float32 volume with an affine in RAS mm.
"""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from zeus_app.errors import InputError
from zeus_app.settings.file_names import check_utf8
from zeus_app.types import LPS_TO_RAS, Affine, Grid, Volume
from zeus_app.volumes.headers import ITK_READERS, check_itk_file
from zeus_app.volumes.voxels import (
    COPY_AGAIN,
    as_float,
    check_channel,
    checked_affine,
    not_one_number,
    three_axes,
    usable,
)

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
# Exceptions of nibabel, gzip and SimpleITK (RuntimeError) for damaged files.
_UNREADABLE = (
    ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError, OverflowError,
    RuntimeError, MemoryError,
)  # fmt: skip
MAX_DEFLATE_RATIO = 1040  # gzip's deflate packs 1032 bytes into one at best
_SAME_PLACE_VOXELS = 0.01  # quaternions and affines are stored as float32


@dataclass(frozen=True)
class NiftiSource:
    """A NIfTI file with one volume."""

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.path,)

    def grid(self) -> Grid:
        """The grid in the header. The file's length is checked too."""
        image = _open_nifti(self.path)
        return Grid(three_axes(image.shape, self.path), checked_affine(image.affine, self.path))

    def load(self) -> Volume:
        """(X, Y, Z) float32. A fourth axis of 1 is dropped; a 2-D image becomes one slice."""
        return usable(read_voxels(self.path), self.path)


@dataclass(frozen=True)
class NiftiChannelSource:
    """One channel of a 4-D NIfTI file."""

    path: Path
    channel: int

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.path,)

    def grid(self) -> Grid:
        """The grid in the header. The file must have the channel."""
        image = _open_nifti(self.path)
        check_channel(image.shape, self.path, self.channel)
        return Grid(image.shape[:3], checked_affine(image.affine, self.path))

    def load(self) -> Volume:
        """This channel as (X, Y, Z) float32."""
        image = _open_nifti(self.path)
        shape = image.shape
        check_channel(shape, self.path, self.channel)
        part = (..., self.channel) if len(shape) == 4 else (...,)
        array = read_guarded(lambda: np.asarray(image.dataobj[part]), self.path)
        affine = checked_affine(image.affine, self.path)
        return usable(Volume(as_float(array, self.path), affine), self.path)


@dataclass(frozen=True)
class ItkSource:
    """A file that SimpleITK reads: .mha, .mhd or .nrrd."""

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.path,)

    def grid(self) -> Grid:
        """The grid in the header."""
        reader = _itk_reader(self.path)
        read_guarded(reader.ReadImageInformation, self.path)
        if reader.GetNumberOfComponents() != 1:
            raise not_one_number(self.path, f"{reader.GetNumberOfComponents()} values per voxel")
        return Grid(three_axes(reader.GetSize(), self.path), _itk_affine(reader, self.path))

    def load(self) -> Volume:
        """(X, Y, Z) float32, with the affine converted from LPS to RAS."""
        return usable(read_voxels(self.path), self.path)


def is_volume(path: Path) -> bool:
    """Whether the name is that of an image file that a source can read. Hidden files are not."""
    return path.name.lower().endswith(VOLUME_SUFFIXES) and not path.name.startswith(".")


def stem(path: Path) -> str:
    """The file's name without its suffix. `.nii.gz` is one suffix."""
    for suffix in VOLUME_SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def itk_agrees(source: NiftiSource) -> bool:
    """Whether ITK, and so 3D Slicer, reads three axes and the same voxel places as nibabel.

    Of x.nii.gz, ITK reads the header, but the voxels of x.nii if that lies beside it.

    Raises:
        InputError: nibabel cannot read the file.
    """
    if source.path.suffix.lower() == ".gz" and source.path.with_suffix("").exists():
        return False
    if len(_open_nifti(source.path).shape) != 3:
        return False
    grid = source.grid()
    try:
        itk_grid = ItkSource(source.path).grid()
    except InputError:
        return False
    return itk_grid.matches(grid, tolerance_mm=_SAME_PLACE_VOXELS * min(grid.spacing_mm))


def read_voxels(path: Path) -> Volume:
    """Read one 3-D file with any values, images and masks alike.

    Raises:
        InputError: the file is unreadable, holds colours or complex numbers, is not 3-D, or its
            affine is not valid.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return _read_itk(path)
    image = _open_nifti(path)
    shape = three_axes(image.shape, path)
    array = read_guarded(lambda: np.asarray(image.dataobj), path)
    return Volume(as_float(array, path).reshape(shape), checked_affine(image.affine, path))


def _read_itk(path: Path) -> Volume:
    image = read_guarded(_itk_reader(path).Execute, path)
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise not_one_number(path, f"{image.GetNumberOfComponentsPerPixel()} values per voxel")
    array = sitk.GetArrayFromImage(image).T  # (Z, Y, X) -> (X, Y, Z)
    shape = three_axes(array.shape, path)
    return Volume(as_float(array, path).reshape(shape), _itk_affine(image, path))


def _itk_reader(path: Path) -> sitk.ImageFileReader:
    """ITK's reader for a file's ending. A header that leads to another place is refused before."""
    check_utf8(path)
    if path.exists() and not path.is_file():  # a pipe may never end
        raise InputError(f"{path}, no regular file", expected="a file", remedy=COPY_AGAIN)
    reader = sitk.ImageFileReader()
    ending = path.suffix.lower()
    if ending in ITK_READERS:
        read_guarded(lambda: check_itk_file(path), path)
    reader.SetImageIO(ITK_READERS.get(ending, "NiftiImageIO"))
    reader.SetFileName(str(path))
    return reader


def _itk_affine(image: sitk.Image | sitk.ImageFileReader, path: Path) -> Affine:
    axes = image.GetDimension()
    space = min(axes, 3)  # a fourth axis has no place in space
    lps = np.eye(4)
    directions = np.array(image.GetDirection()).reshape(axes, axes)[:space, :space]
    lps[:space, :space] = directions * np.array(image.GetSpacing())[:space]
    lps[:space, 3] = image.GetOrigin()[:space]
    return checked_affine(LPS_TO_RAS @ lps, path)


def _open_nifti(path: Path) -> Any:
    """An image whose header is read and whose voxels are not. A truncated file is refused."""
    image = read_guarded(lambda: nib.load(path), path)
    needed = _bytes_of(image)
    read_guarded(lambda: _check_length(path, needed), path)
    return image


def nifti_bytes(path: Path) -> int:
    """Bytes of a NIfTI file, unpacked, up to its last voxel. Raises InputError if it has fewer."""
    return _bytes_of(_open_nifti(path))


def _bytes_of(image: Any) -> int:
    # prod of Python's numbers: numpy's would wrap around for the sizes of a damaged header.
    voxels = prod(int(size) for size in image.shape)
    return int(image.dataobj.offset) + voxels * int(image.get_data_dtype().itemsize)


def _check_length(path: Path, needed: int) -> None:
    """Compare the file's length with its header's. Decompress the file only if necessary."""
    if path.name.lower().endswith(".gz"):
        if path.stat().st_size * MAX_DEFLATE_RATIO < needed:
            raise EOFError(f"{path.stat().st_size} bytes cannot hold the {needed} of its header")
        with path.open("rb") as file:
            file.seek(-4, 2)
            if int.from_bytes(file.read(4), "little") == needed % 2**32:  # ISIZE of RFC 1952
                return
        with gzip.open(path) as file:  # several gzip members, or a truncated file
            length = 0
            while length < needed and (block := file.read(1 << 22)):
                length += len(block)
    else:
        length = path.stat().st_size
    if length < needed:
        raise EOFError(f"{length} bytes instead of the {needed} that its header states")


def read_guarded(read: Callable[[], Any], path: Path) -> Any:
    """Call a library's reader. Its exception becomes an InputError that names the file."""
    try:
        return read()
    except _UNREADABLE as error:
        lines = str(error).strip().splitlines()
        raise InputError(
            f"{path} cannot be read: {lines[-1] if lines else type(error).__name__}",
            expected="a complete NIfTI, MetaImage, NRRD or DICOM file",
            remedy=COPY_AGAIN,
        ) from error
