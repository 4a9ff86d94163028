"""NIfTI and FreeSurfer's MGH files, told by content and read through nibabel.

Headers are in the unit that they state; Zeus reads mm, as ITK does. An unknown unit is mm.
"""

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import nibabel as nib
import numpy as np

from zeus_app.errors import InputError
from zeus_app.types import Affine
from zeus_app.volumes.formats import check_regular, packer_of, wrong_name
from zeus_app.volumes.voxels import COPY_AGAIN, check_type, checked_affine

MGH_SUFFIXES = (".mgz", ".mgh")
MAX_DEFLATE_RATIO = 1040  # gzip's deflate packs 1032 bytes into one at best
MAX_EXTENSION_BYTES = 64 << 20
"""Of a NIfTI file's extensions, which lie between its header and its voxels."""
_MM = {1: 1000.0, 3: 0.001}
"""NIfTI's codes for metre and micron -> mm."""
_CIFTI_INTENTS = range(3000, 3100)
_NIFTI_1, _NIFTI_2 = 348, 540
"""Bytes of the headers of both versions."""
_HEADERS = {_NIFTI_1: nib.Nifti1Header, _NIFTI_2: nib.Nifti2Header}
_IMAGES = {_NIFTI_1: nib.Nifti1Image, _NIFTI_2: nib.Nifti2Image}
_MAGIC_AT = 344  # of NIfTI-1
_BYTE_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An image whose header is read and whose voxels are not, while the file is open.

    Yields:
        The image of nibabel. Its voxels are one real number each, and all are in the file.

    Raises:
        InputError: the file is none of these formats, is damaged or truncated, or holds colours,
            complex numbers or CIFTI's grayordinates.
    """
    read_guarded(lambda: check_regular(path), path)
    with read_guarded(lambda: path.open("rb"), path) as file:
        yield read_guarded(lambda: _checked_image(file, path), path)


def affine_of(image: Any, path: Path) -> Affine:
    """The affine in RAS mm. Raises InputError if it is not finite or not invertible."""
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= mm_per_unit(image)
    return checked_affine(affine, path)


def mm_per_unit(image: Any) -> float:
    """Millimetres in the header's unit of length. An unknown unit is mm, as ITK reads it."""
    if not isinstance(image, nib.Nifti1Image):
        return 1.0
    return _MM.get(int(image.header["xyzt_units"]) & 7, 1.0)


def nifti_bytes(path: Path) -> int:
    """Bytes of a file, unpacked, up to its last voxel. Raises InputError if it has fewer."""
    with opened(path) as image:
        return _bytes_of(image)


def read_guarded(read: Callable[[], Any], path: Path) -> Any:
    """Call a library's reader. Its exception becomes an InputError that names the file.

    Readers raise exceptions of many types for damaged files, so every type is caught.
    """
    try:
        return read()
    except InputError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines()
        raise InputError(
            f"{path} cannot be read: {lines[-1] if lines else type(error).__name__}",
            expected="a complete NIfTI, MGH, MetaImage, NRRD or DICOM file",
            remedy=COPY_AGAIN,
        ) from error


def _checked_image(file: BinaryIO, path: Path) -> Any:
    packer = packer_of(file)
    if packer not in ("", "gzip"):
        raise wrong_name(path, packer)
    size = file.seek(0, 2)
    stated = _stated_bytes(file) if packer else size
    file.seek(0)
    image = _image(cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packer else file, path)
    check_type(image.get_data_dtype(), path)
    needed = _bytes_of(image)
    held = size
    if packer and size * MAX_DEFLATE_RATIO < needed:
        raise EOFError(f"{size} bytes cannot hold the {needed} of its header")
    if packer:  # the end of a file of several gzip members, or of a truncated one, says else
        held = needed if stated == needed % 2**32 else _unpacked_bytes(path, needed)
    if held < needed:
        raise EOFError(f"{held} bytes instead of the {needed} that its header states")
    return image


def _image(stream: BinaryIO, path: Path) -> Any:
    if path.name.lower().endswith(MGH_SUFFIXES):
        return nib.MGHImage.from_stream(stream)
    start = stream.read(_NIFTI_2)
    length = _NIFTI_2 if start[4:7] in (b"n+2", b"ni2") else _NIFTI_1
    is_one_file = start[4:7] == b"n+2" or start[_MAGIC_AT : _MAGIC_AT + 3] == b"n+1"
    if not is_one_file or len(start) < length:
        raise _no_header(start, path)
    _check_header(_HEADERS[length](start[:length]), length, path)
    stream.seek(0)
    return _IMAGES[length].from_stream(stream)


def _no_header(start: bytes, path: Path) -> InputError:
    pair = start[4:7] == b"ni2" or start[_MAGIC_AT : _MAGIC_AT + 3] == b"ni1"
    if pair or _NIFTI_1 in (int.from_bytes(start[:4], order) for order in _BYTE_ORDERS):
        return InputError(
            f"{path} cannot be read: the header of a NIfTI or Analyze image of two files",
            expected="one file with header and voxels",
            remedy="convert the pair, for example with nib-convert image.hdr image.nii.gz",
        )
    return InputError(
        f"{path} cannot be read: it has no NIfTI header",
        expected="a NIfTI file",
        remedy=f"{COPY_AGAIN}, or give it the suffix of its format",
    )


def _check_header(header: Any, length: int, path: Path) -> None:
    """Refuse what nibabel would read as something else, or read wholly into memory."""
    if int(header["intent_code"]) in _CIFTI_INTENTS:
        raise InputError(
            f"{path}, a CIFTI file, which holds points on surfaces and no volume",
            expected="a volume, in NIfTI",
            remedy="use the volume that it was made from, for example T1w.nii.gz",
        )
    offset = float(header["vox_offset"])
    if not length <= offset <= length + MAX_EXTENSION_BYTES:
        raise InputError(
            f"{path} cannot be read: its voxels start at byte {offset:g}",
            expected=f"voxels after the header of {length} bytes",
            remedy=COPY_AGAIN,
        )


def _bytes_of(image: Any) -> int:
    # prod of Python's numbers: numpy's would wrap around for the sizes of a damaged header.
    voxels = prod(int(size) for size in image.shape)
    return int(image.dataobj.offset) + voxels * int(image.get_data_dtype().itemsize)


def _stated_bytes(file: BinaryIO) -> int:
    """The unpacked bytes of a gzip file, modulo 2³², as its end states them."""
    file.seek(-4, 2)
    return int.from_bytes(file.read(4), "little")  # ISIZE of RFC 1952


def _unpacked_bytes(path: Path, needed: int) -> int:
    """Bytes of a gzip file, counted up to about the needed ones."""
    length = 0
    with gzip.open(path) as file:
        while length < needed and (block := file.read(1 << 22)):
            length += len(block)
    return length
