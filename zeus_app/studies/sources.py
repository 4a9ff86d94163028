"""Where voxels lie: a file, a channel of a 4-D file, a DICOM series. Each loads as RAS float32."""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from zeus_app.errors import InputError
from zeus_app.studies.dicom import LPS_TO_RAS, read_header, stack_slices
from zeus_app.types import Affine, FloatArray, Volume, VolumeSource

# What nibabel, gzip and SimpleITK (RuntimeError) raise for files that are damaged anywhere.
_UNREADABLE = (
    ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError, OverflowError,
    RuntimeError, MemoryError,
)  # fmt: skip
_COPY_AGAIN = "copy the file again from its origin, or take it out of the studies folder"
_SPLIT = (
    "split it into 3-D files, or name its channels: in cases.json, or in a dataset.json beside "
    "imagesTr/ as the Medical Segmentation Decathlon does"
)


@dataclass(frozen=True)
class NiftiSource:
    """One NIfTI file that holds one volume."""

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.path,)

    def check(self) -> None:
        """Look at the header and the file's length alone. Raises InputError as `load` would."""
        _three_axes(_open_nifti(self.path).shape, self.path)

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

    def check(self) -> None:
        """Look at the header alone: the channel must be there."""
        _channel_count(_open_nifti(self.path).shape, self.path, self.channel)

    def load(self) -> Volume:
        """(X, Y, Z) float32 of this channel."""
        image = _open_nifti(self.path)
        shape = image.shape
        _channel_count(shape, self.path, self.channel)
        part = (..., self.channel) if len(shape) == 4 else (...,)
        array = _guarded(lambda: np.asarray(image.dataobj[part]), self.path)
        affine = _checked_affine(image.affine, self.path)
        return usable(Volume(_as_float(array, self.path), affine), self.path)


@dataclass(frozen=True)
class ItkSource:
    """One file in a format that SimpleITK reads: .mha, .mhd, .nrrd."""

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.path,)

    def check(self) -> None:
        """Look at the header alone."""
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(self.path))
        _guarded(reader.ReadImageInformation, self.path)
        if reader.GetNumberOfComponents() != 1:
            raise _colour(self.path, f"{reader.GetNumberOfComponents()} values a voxel")
        _three_axes(reader.GetSize(), self.path)

    def load(self) -> Volume:
        """(X, Y, Z) float32, its affine turned from LPS to RAS."""
        return usable(read_voxels(self.path), self.path)


@dataclass(frozen=True)
class DicomSeriesSource:
    """The files of one DICOM series of single-frame images, in any order."""

    paths: tuple[Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the series."""
        return self.paths

    def load(self) -> Volume:
        """(columns, rows, slices) float32, slices by position, rescale slope and all applied."""
        folder = self.paths[0].parent
        stack = stack_slices([read_header(path) for path in self.paths])
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames([str(path) for path in stack.paths])
        image = _guarded(reader.Execute, folder)
        if image.GetNumberOfComponentsPerPixel() != 1:
            raise _colour(folder, "colour pixels")
        array = sitk.GetArrayFromImage(image).transpose(2, 1, 0)  # (Z, Y, X) -> (X, Y, Z)
        return usable(Volume(_as_float(array, folder), stack.affine_ras), folder)


def source_of(path: Path) -> VolumeSource:
    """The source for one file, by its suffix; anything unknown is taken for a DICOM image."""
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return NiftiSource(path)
    if name.endswith((".mha", ".mhd", ".nrrd")):
        return ItkSource(path)
    return DicomSeriesSource((path,))


def read_voxels(path: Path) -> Volume:
    """Voxels and place of one 3-D file, whatever the values: masks are read by this too.

    Raises:
        InputError: unreadable, colour or complex, not 3-D, or without a place in space.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return _read_itk(path)
    image = _open_nifti(path)
    shape = _three_axes(image.shape, path)
    array = _guarded(lambda: np.asarray(image.dataobj), path)
    return Volume(_as_float(array, path).reshape(shape), _checked_affine(image.affine, path))


def _read_itk(path: Path) -> Volume:
    image = _guarded(lambda: sitk.ReadImage(str(path)), path)
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise _colour(path, f"{image.GetNumberOfComponentsPerPixel()} values a voxel")
    array = sitk.GetArrayFromImage(image).T  # (Z, Y, X) -> (X, Y, Z)
    shape = _three_axes(array.shape, path)
    axes = image.GetDimension()
    space = min(axes, 3)  # a fourth axis of one carries no place
    lps = np.eye(4)
    directions = np.array(image.GetDirection()).reshape(axes, axes)[:space, :space]
    lps[:space, :space] = directions * np.array(image.GetSpacing())[:space]
    lps[:space, 3] = image.GetOrigin()[:space]
    return Volume(_as_float(array, path).reshape(shape), _checked_affine(LPS_TO_RAS @ lps, path))


def usable(volume: Volume, where: Path) -> Volume:
    """The volume itself, if its values can be segmented.

    Raises:
        InputError: NaN or infinite values (with their number), or the same value everywhere.
    """
    array = volume.array
    broken = array.size - int(np.count_nonzero(np.isfinite(array)))
    if broken:
        raise InputError(
            f"{where}: {broken} of {array.size} voxels are NaN or infinite",
            expected="finite intensities",
            remedy="replace them by the background's value and save the file again",
        )
    if array.min() == array.max():
        raise InputError(
            f"{where}: every voxel has the value {float(array.max()):g}",
            expected="an image with contrast",
            remedy="check how the file was exported",
        )
    return volume


def _open_nifti(path: Path) -> Any:
    """The image with its header read, its voxels not; a truncated file is refused."""
    image = _guarded(lambda: nib.load(path), path)
    needed = image.dataobj.offset + int(np.prod(image.shape)) * image.get_data_dtype().itemsize
    _guarded(lambda: _check_length(path, needed), path)
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


def _three_axes(shape: tuple[int, ...], path: Path) -> tuple[int, int, int]:
    """The shape as (X, Y, Z)."""
    if len(shape) < 2 or min(shape) < 1:
        raise InputError(
            f"{path}: shape {tuple(shape)}", expected="an image with voxels", remedy=_COPY_AGAIN
        )
    if len(shape) > 4:
        raise InputError(
            f"{path}: {len(shape)}-D, shape {tuple(shape)}",
            expected="a 3-D volume, or a 4-D file of several sequences",
            remedy="save each sequence as a 3-D file",
        )
    if len(shape) == 4 and shape[3] != 1:
        raise InputError(
            f"{path}: 4-D, shape {tuple(shape)}: {shape[3]} volumes in one file",
            expected="one 3-D volume",
            remedy=_SPLIT,
        )
    x, y, z = (*shape, 1)[:3]
    return x, y, z


def _channel_count(shape: tuple[int, ...], path: Path, channel: int) -> None:
    channels = shape[3] if len(shape) == 4 else 1
    if len(shape) not in (3, 4) or min(shape) < 1 or channel >= channels:
        raise InputError(
            f"{path}: shape {tuple(shape)}, no channel {channel} in it",
            expected=f"(X, Y, Z, C) with C above {channel}",
            remedy="correct the sequence names in dataset.json or the case list",
        )


def _as_float(array: npt.NDArray[Any], path: Path) -> FloatArray:
    if array.dtype.fields is not None or array.dtype.kind not in "iufb":
        raise _colour(path, f"voxels of type {array.dtype}")
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused
        return np.asarray(array, dtype=np.float32)


def _colour(path: Path, came: str) -> InputError:
    return InputError(
        f"{path}: {came}",
        expected="one real number a voxel",
        remedy="export the magnitude image, not colour, vector or complex data",
    )


def _checked_affine(affine: Affine, path: Path) -> Affine:
    affine = np.asarray(affine, dtype=np.float64)
    edges = affine[:3, :3]
    spacing = np.linalg.norm(edges, axis=0)
    # The volume of a voxel against that of its edges at right angles: 0 when they lie in a plane.
    if not np.isfinite(affine).all() or abs(np.linalg.det(edges)) <= 1e-6 * spacing.prod():
        raise InputError(
            f"{path}: an affine that places no voxels: {affine[:3].tolist()}",
            expected="three independent voxel edges longer than 0 mm",
            remedy="correct sform, qform or spacing in the file's header",
        )
    return affine


def _guarded(read: Callable[[], Any], path: Path) -> Any:
    """Run a foreign reader; whatever it trips over becomes an InputError that names the file."""
    try:
        return read()
    except _UNREADABLE as error:
        what = str(error).strip().splitlines()
        raise InputError(
            f"{path} cannot be read: {what[-1] if what else type(error).__name__}",
            expected="a whole NIfTI, MetaImage, NRRD or DICOM file",
            remedy=_COPY_AGAIN,
        ) from error
