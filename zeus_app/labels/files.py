"""Read and write label files: NIfTI, NRRD, and 3D Slicer's .seg.nrrd."""

import gzip
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from zeus_app.errors import InputError
from zeus_app.labels.values import with_whole_values
from zeus_app.types import LPS_TO_RAS, Affine, Grid, Volume
from zeus_app.volumes.formats import check_regular, is_gzip
from zeus_app.volumes.nifti import nifti_bytes
from zeus_app.volumes.sources import read_voxels
from zeus_app.volumes.uploads import header_grid
from zeus_app.volumes.voxels import check_right_angles

EXTENSIONS = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd")
MAX_BYTES_AFTER_VOXELS = 1 << 20
DTYPES = {
    "uint8": np.uint8,
    "uint16": np.uint16,
    "int16": np.int16,
    "int32": np.int32,
    "float32": np.float32,
}


def extension_of(name: str) -> str:
    """The extension of a label file's name.

    Raises:
        InputError: the extension is none of `EXTENSIONS`.
    """
    for extension in EXTENSIONS:
        if name.lower().endswith(extension):
            return extension
    raise InputError(
        f"a label file named {name!r}",
        expected=f"a name that ends in {', '.join(EXTENSIONS)}",
        remedy="save the label in one of these formats, for example as label.nii.gz",
    )


def read_label(path: Path) -> Volume:
    """Read a label map, as float32 with whole numbers. A 2-D file becomes one slice.

    Raises:
        InputError: the file is damaged, holds more than one 3-D label map, or holds values that
            `labels/values.py` does not round.
    """
    with label_errors(path):
        extension_of(path.name)
    return read_mask(path)


def read_mask(path: Path) -> Volume:
    """Read a label map as `read_label` does, in any format that Zeus reads images in.

    Raises:
        InputError: as `read_label`, but for the extension.
    """
    with label_errors(path):
        check_regular(path)
        if path.name.lower().endswith((".nii.gz", ".nii")) and is_gzip(path):
            _verify_checksum(path, nifti_bytes(path))
        volume = read_voxels(path)
    return with_whole_values(volume, f"label file {path.name}")


def label_grid(path: Path) -> Grid:
    """The grid that a label file's header states. Raises as `read_label`; reads no voxel."""
    with label_errors(path):
        extension_of(path.name)
        return header_grid(path)


@contextmanager
def label_errors(path: Path) -> Iterator[None]:
    """Turn the errors of a reader into those of a label file: what it must be, and what to do."""
    try:
        yield
    except (InputError, OSError, EOFError, zlib.error) as error:
        came = error.came if isinstance(error, InputError) else f"{path} cannot be read: {error}"
        raise InputError(
            came.replace(str(path), f"label file {path.name}"),
            expected=f"one complete 3-D label map with one value per label, in "
            f"{', '.join(EXTENSIONS)}",
            remedy="merge the layers into one label map and save it again",
        ) from error


def _verify_checksum(path: Path, needed: int) -> None:
    """Decompress a gzip file to its end, where its checksum is. nibabel stops before that."""
    length = 0
    with gzip.open(path) as file:
        while block := file.read(1 << 22):
            length += len(block)
            if length > needed + MAX_BYTES_AFTER_VOXELS:
                raise EOFError(f"it has more than the {needed} bytes that its header states")


def nifti_image(array: npt.NDArray[np.generic], affine_ras: Affine) -> nib.Nifti1Image:
    """A NIfTI image in mm with equal qform and sform, so that all readers agree on its place."""
    image = nib.Nifti1Image(array, affine_ras)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine_ras, code=1)
    image.set_sform(affine_ras, code=1)
    return image


def write_volume(path: Path, volume: Volume) -> None:
    """Write a volume as NIfTI, in its own dtype."""
    nib.save(nifti_image(volume.array, volume.affine_ras), path)


def write_label(
    path: Path,
    label: Volume,
    *,
    names: Mapping[str, int],
    dtype: str = "uint8",
    is_packed: bool = True,
) -> None:
    """Write a label map in the format that the extension of `path` names.

    Args:
        path: a file name that ends in one of `EXTENSIONS`.
        label: uint8 label map.
        names: label name -> value. A .seg.nrrd stores them; 3D Slicer shows them as segments.
        dtype: one of `DTYPES`.
        is_packed: whether the voxels of NRRD are gzip.

    Raises:
        InputError: NIfTI is asked for and the grid's axes are not at right angles, which ITK
            cannot read.
    """
    array = label.array.astype(DTYPES[dtype])
    extension = extension_of(path.name)
    if extension.startswith(".nii"):
        check_right_angles(label.grid, "a mask")
        write_volume(path, Volume(array, label.affine_ras))
        return
    image = _sitk_image(array, label.affine_ras)
    if extension == ".seg.nrrd":
        _set_segments(image, names)
    sitk.WriteImage(image, str(path), useCompression=is_packed)


def _set_segments(image: sitk.Image, names: Mapping[str, int]) -> None:
    """Store label names and values the way 3D Slicer stores segments."""
    for number, (name, value) in enumerate(names.items()):
        image.SetMetaData(f"Segment{number}_ID", f"Segment_{value}")
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_Layer", "0")
        image.SetMetaData(f"Segment{number}_LabelValue", str(value))


def _sitk_image(array: npt.NDArray[np.generic], affine_ras: Affine) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(np.transpose(array)))
    affine = LPS_TO_RAS @ affine_ras
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image
