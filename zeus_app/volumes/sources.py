"""Where voxels lie: a file, a channel of a 4-D file, a DICOM series. Each loads as RAS float32."""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from zeus_app.errors import InputError
from zeus_app.types import LPS_TO_RAS, Affine, Grid, Volume
from zeus_app.volumes.voxels import (
    COPY_AGAIN,
    as_float,
    channel_count,
    checked_affine,
    colour,
    three_axes,
    usable,
)

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
# What nibabel, gzip and SimpleITK (RuntimeError) raise for files that are damaged anywhere.
_UNREADABLE = (
    ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError, OverflowError,
    RuntimeError, MemoryError,
)  # fmt: skip
_SAME_PLACE_VOXELS = 0.01  # quaternions and affines travel as float32


@dataclass(frozen=True)
class NiftiSource:
    """One NIfTI file that holds one volume."""

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.path,)

    def grid(self) -> Grid:
        """From the header; the file's length is checked too."""
        image = _open_nifti(self.path)
        return Grid(three_axes(image.shape, self.path), checked_affine(image.affine, self.path))

    def load(self) -> Volume:
        """(X, Y, Z) float32; a trailing axis of one is dropped, a 2-D image becomes one slice."""
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
        """From the header: the channel must be there."""
        image = _open_nifti(self.path)
        channel_count(image.shape, self.path, self.channel)
        return Grid(image.shape[:3], checked_affine(image.affine, self.path))

    def load(self) -> Volume:
        """(X, Y, Z) float32 of this channel."""
        image = _open_nifti(self.path)
        shape = image.shape
        channel_count(shape, self.path, self.channel)
        part = (..., self.channel) if len(shape) == 4 else (...,)
        array = read_guarded(lambda: np.asarray(image.dataobj[part]), self.path)
        affine = checked_affine(image.affine, self.path)
        return usable(Volume(as_float(array, self.path), affine), self.path)


@dataclass(frozen=True)
class ItkSource:
    """One file in a format that SimpleITK reads: .mha, .mhd, .nrrd."""

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.path,)

    def grid(self) -> Grid:
        """From the header."""
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(self.path))
        read_guarded(reader.ReadImageInformation, self.path)
        if reader.GetNumberOfComponents() != 1:
            raise colour(self.path, f"{reader.GetNumberOfComponents()} values a voxel")
        return Grid(three_axes(reader.GetSize(), self.path), _itk_affine(reader, self.path))

    def load(self) -> Volume:
        """(X, Y, Z) float32, its affine turned from LPS to RAS."""
        return usable(read_voxels(self.path), self.path)


def is_volume(path: Path) -> bool:
    """Whether the name is that of an image file which a source can read."""
    return path.name.lower().endswith(VOLUME_SUFFIXES) and not path.name.startswith(".")


def stem(path: Path) -> str:
    """The file's name without its suffix; `.nii.gz` is one suffix."""
    for suffix in VOLUME_SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def itk_agrees(source: NiftiSource) -> bool:
    """Whether ITK, and so Slicer, reads three axes there and puts the voxels where nibabel does.

    Raises:
        InputError: nibabel cannot read it.
    """
    if len(_open_nifti(source.path).shape) != 3:
        return False
    grid = source.grid()
    try:
        there = ItkSource(source.path).grid()
    except InputError:
        return False
    return there.matches(grid, tolerance_mm=_SAME_PLACE_VOXELS * min(grid.spacing_mm))


def read_voxels(path: Path) -> Volume:
    """Voxels and place of one 3-D file, whatever the values: masks are read by this too.

    Raises:
        InputError: unreadable, colour or complex, not 3-D, or without a place in space.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return _read_itk(path)
    image = _open_nifti(path)
    shape = three_axes(image.shape, path)
    array = read_guarded(lambda: np.asarray(image.dataobj), path)
    return Volume(as_float(array, path).reshape(shape), checked_affine(image.affine, path))


def _read_itk(path: Path) -> Volume:
    image = read_guarded(lambda: sitk.ReadImage(str(path)), path)
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise colour(path, f"{image.GetNumberOfComponentsPerPixel()} values a voxel")
    array = sitk.GetArrayFromImage(image).T  # (Z, Y, X) -> (X, Y, Z)
    shape = three_axes(array.shape, path)
    return Volume(as_float(array, path).reshape(shape), _itk_affine(image, path))


def _itk_affine(image: sitk.Image | sitk.ImageFileReader, path: Path) -> Affine:
    axes = image.GetDimension()
    space = min(axes, 3)  # a fourth axis of one carries no place
    lps = np.eye(4)
    directions = np.array(image.GetDirection()).reshape(axes, axes)[:space, :space]
    lps[:space, :space] = directions * np.array(image.GetSpacing())[:space]
    lps[:space, 3] = image.GetOrigin()[:space]
    return checked_affine(LPS_TO_RAS @ lps, path)


def _open_nifti(path: Path) -> Any:
    """The image with its header read, its voxels not; a truncated file is refused."""
    image = read_guarded(lambda: nib.load(path), path)
    needed = image.dataobj.offset + int(np.prod(image.shape)) * image.get_data_dtype().itemsize
    read_guarded(lambda: _check_length(path, needed), path)
    return image


def _check_length(path: Path, needed: int) -> None:
    """Compare the file's length with its header's, without unpacking it where that can be."""
    if path.name.lower().endswith(".gz"):
        with path.open("rb") as file:
            file.seek(-4, 2)
            if int.from_bytes(file.read(4), "little") == needed % 2**32:  # gzip's own ISIZE
                return
        with gzip.open(path) as unpacked:  # several members, or truncated: count to know
            length = 0
            while block := unpacked.read(1 << 22):
                length += len(block)
    else:
        length = path.stat().st_size
    if length < needed:
        raise EOFError(f"{length} bytes where the header promises {needed}")


def read_guarded(read: Callable[[], Any], path: Path) -> Any:
    """Run a foreign reader; whatever it trips over becomes an InputError that names the file."""
    try:
        return read()
    except _UNREADABLE as error:
        what = str(error).strip().splitlines()
        raise InputError(
            f"{path} cannot be read: {what[-1] if what else type(error).__name__}",
            expected="a whole NIfTI, MetaImage, NRRD or DICOM file",
            remedy=COPY_AGAIN,
        ) from error
