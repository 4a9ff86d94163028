"""Checks of the images of an upload, before a voxel is read: volumes and DICOM files."""

from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian

from zeus_app.dicom.content import START_BYTES, has_preamble
from zeus_app.dicom.series import is_dicom, read_header
from zeus_app.errors import InputError
from zeus_app.volumes.sources import is_volume
from zeus_app.volumes.uploads import check_upload, checked_count


def is_image(path: Path) -> bool:
    """Whether a file is a volume or a DICOM file, and no link."""
    return not path.is_symlink() and (is_volume(path) or is_dicom(path))


def check_images(path: Path, *, max_voxels: int) -> None:
    """Refuse an upload that leads to other files, or that is too large to read.

    Args:
        path: a file, or a folder that only holds files of the upload.
        max_voxels: of all files together.

    Raises:
        TooLargeError: the headers state more voxels.
        InputError: a file is damaged, is a link, or holds its voxels in another file.
    """
    total = 0
    for file in _files(path):
        is_series = is_image(file) and not is_volume(file)
        check = _check_dicom if is_series else check_upload  # which refuses what is no image
        total += check(file, max_voxels=max_voxels)
        checked_count("the upload", total, max_voxels=max_voxels)


def _files(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_symlink() or not file.is_dir())


def _check_dicom(path: Path, *, max_voxels: int) -> int:
    """The number of pixels that a DICOM file's header states, if it is allowed."""
    _refuse_deflated(path)
    header = read_header(path)
    rows, columns = header.shape
    return checked_count(path.name, rows * columns * max(header.frames, 1), max_voxels=max_voxels)


def _refuse_deflated(path: Path) -> None:
    """Refuse a packed header: it may unpack to a thousand times its size."""
    with path.open("rb") as file:
        start = file.read(START_BYTES)
    if start.startswith(b"\x02\x00") and not has_preamble(start):
        raise InputError(  # pydicom's public functions cannot tell whether it is deflated
            f"{path.name}, a DICOM file whose preamble is missing",
            expected="a file with preamble, or a data set alone",
            remedy="convert the file, for example with dcmconv",
        )
    try:
        syntax = pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID")
    except Exception:  # damaged in one of many ways; reading the header tells which
        return
    if syntax == DeflatedExplicitVRLittleEndian:
        raise InputError(
            f"{path.name}, a DICOM file with a deflated header",
            expected="Explicit VR Little Endian, or another syntax that packs pixels alone",
            remedy="convert the file, for example with dcmconv +te",
        )
