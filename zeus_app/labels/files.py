"""Label maps as the files that clients send and want: NIfTI, NRRD, and Slicer's .seg.nrrd."""

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from zeus_app.errors import InputError
from zeus_app.types import LPS_TO_RAS, Affine, Volume
from zeus_app.volumes.sources import read_voxels
from zeus_app.volumes.voxels import check_right_angles

EXTENSIONS = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd")
DTYPES = {
    "uint8": np.uint8,
    "uint16": np.uint16,
    "int16": np.int16,
    "int32": np.int32,
    "float32": np.float32,
}


def extension_of(name: str) -> str:
    """The ending of a label file's name. Raises InputError for other kinds of files."""
    for extension in EXTENSIONS:
        if name.lower().endswith(extension):
            return extension
    raise InputError(
        f"a label file named {name!r}",
        expected=f"a name that ends in {', '.join(EXTENSIONS)}",
        remedy="save the label in one of these formats",
    )


def read_label(path: Path) -> Volume:
    """Read a label map with its stored values, as float32; a 2-D one becomes one slice.

    Raises:
        InputError: the file is damaged, or holds more than one 3-D label map.
    """
    try:
        if extension_of(path.name) == ".nii.gz":
            _check_sum(path)
        return read_voxels(path)
    except (InputError, OSError, EOFError, zlib.error) as bad:
        came = bad.came if isinstance(bad, InputError) else f"{path} cannot be read: {bad}"
        raise InputError(
            came.replace(str(path), f"label file {path.name}"),
            expected=f"one whole 3-D label map, a value per class, in {', '.join(EXTENSIONS)}",
            remedy="merge layers into one label map, save it again and send it once more",
        ) from bad


def _check_sum(path: Path) -> None:
    """Unpack to the very end, where gzip keeps its checksum: nibabel stops before it."""
    with gzip.open(path) as packed:
        while packed.read(1 << 22):
            pass


def nifti_image(array: npt.NDArray[np.generic], affine_ras: Affine) -> nib.Nifti1Image:
    """A NIfTI image that every reader puts at the same place, whichever form it trusts."""
    image = nib.Nifti1Image(array, affine_ras)
    image.set_qform(affine_ras, code=1)
    image.set_sform(affine_ras, code=1)
    return image


def write_volume(path: Path, volume: Volume) -> None:
    """Write a volume as NIfTI, in the dtype it has."""
    nib.save(nifti_image(volume.array, volume.affine_ras), path)


def write_label(
    path: Path, label: Volume, *, names: Mapping[str, int], dtype: str = "uint8"
) -> None:
    """Write a label map in the format that the ending of `path` names.

    Args:
        path: ends in one of `EXTENSIONS`.
        label: uint8 label map.
        names: label name -> value; kept in a .seg.nrrd, where Slicer shows them as segments.
        dtype: one of `DTYPES`.

    Raises:
        InputError: NIfTI on a grid that ITK does not know.
    """
    array = label.array.astype(DTYPES[dtype])
    extension = extension_of(path.name)
    if extension.startswith(".nii"):
        check_right_angles(label.grid, "a mask")
        write_volume(path, Volume(array, label.affine_ras))
        return
    image = _sitk_image(array, label.affine_ras)
    if extension == ".seg.nrrd":
        for number, (name, value) in enumerate(names.items()):
            for key, text in (
                ("ID", f"Segment_{value}"),
                ("Name", name),
                ("Layer", "0"),
                ("LabelValue", str(value)),
            ):
                image.SetMetaData(f"Segment{number}_{key}", text)
    sitk.WriteImage(image, str(path), useCompression=True)


def _sitk_image(array: npt.NDArray[np.generic], affine_ras: Affine) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(np.transpose(array)))
    affine = LPS_TO_RAS @ affine_ras
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image
