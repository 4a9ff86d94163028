"""Image files as sources of voxels: NIfTI, one channel of a 4-D NIfTI, MGH, MetaImage, NRRD.

Every source loads a float32 volume with an affine in RAS mm.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from zeus_app.errors import InputError
from zeus_app.settings.file_names import check_utf8
from zeus_app.types import LPS_TO_RAS, Affine, Grid, Volume
from zeus_app.volumes.formats import check_regular, is_gzip
from zeus_app.volumes.headers import ITK_READERS, check_itk_file
from zeus_app.volumes.nifti import MGH_SUFFIXES, affine_of, mm_per_unit, opened, read_guarded
from zeus_app.volumes.voxels import (
    as_float,
    check_channel,
    checked_affine,
    not_one_number,
    three_axes,
    usable,
)

NIFTI_SUFFIXES = (".nii.gz", ".nii")
VOLUME_SUFFIXES = (*NIFTI_SUFFIXES, *MGH_SUFFIXES, *ITK_READERS)
_SAME_PLACE_VOXELS = 0.01  # quaternions and affines are stored as float32


@dataclass(frozen=True)
class NiftiSource:
    """A NIfTI or MGH file with one volume."""

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.path,)

    def grid(self) -> Grid:
        """The grid in the header. The file's length is checked too."""
        with opened(self.path) as image:
            return Grid(three_axes(image.shape, self.path), affine_of(image, self.path))

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
        with opened(self.path) as image:
            check_channel(image.shape, self.path, self.channel)
            return Grid(image.shape[:3], affine_of(image, self.path))

    def load(self) -> Volume:
        """This channel as (X, Y, Z) float32."""
        with opened(self.path) as image:
            check_channel(image.shape, self.path, self.channel)
            part = (..., self.channel) if len(image.shape) == 4 else (...,)
            array = read_guarded(lambda: np.asarray(image.dataobj[part]), self.path)
            affine = affine_of(image, self.path)
        return usable(Volume(as_float(array, self.path), affine), self.path)


@dataclass(frozen=True)
class ItkSource:
    """A file that SimpleITK reads: .mha, .mhd, .nrrd or .nhdr."""

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
    """Whether ITK, and so 3D Slicer, and nibabel's users read what Zeus reads.

    ITK goes by the suffix: of a plain file called .nii.gz it reads zeros. Of x.nii.gz it reads the
    header, but the voxels of x.nii if that lies beside it. Most of nibabel's users take any unit
    for mm.

    Raises:
        InputError: nibabel cannot read the file.
    """
    path = source.path
    is_packed = path.name.endswith(".nii.gz")
    if not path.name.endswith(NIFTI_SUFFIXES):
        return False
    if read_guarded(lambda: is_gzip(path), path) != is_packed:
        return False
    if is_packed and path.with_suffix("").exists():
        return False
    with opened(path) as image:
        if len(image.shape) != 3 or mm_per_unit(image) != 1:
            return False
    grid = source.grid()
    try:
        itk_grid = ItkSource(path).grid()
    except InputError:
        return False
    return itk_grid.matches(grid, tolerance_mm=_SAME_PLACE_VOXELS * min(grid.spacing_mm))


def read_voxels(path: Path) -> Volume:
    """Read one 3-D file with any values, images and masks alike.

    Raises:
        InputError: the file is unreadable, holds colours or complex numbers, is not 3-D, or its
            affine is not valid.
    """
    if path.suffix.lower() in ITK_READERS:
        return _read_itk(path)
    with opened(path) as image:
        shape = three_axes(image.shape, path)
        array = read_guarded(lambda: np.asarray(image.dataobj), path)
        affine = affine_of(image, path)
    return Volume(as_float(array, path).reshape(shape), affine)


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
    read_guarded(lambda: check_regular(path), path)
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
