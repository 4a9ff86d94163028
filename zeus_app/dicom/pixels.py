"""The stored pixels of a DICOM file, in any transfer syntax.

GDCM decodes JPEG, JPEG-LS and JPEG 2000 through pydicom. pydicom itself reads RLE and pixels
without compression.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from zeus_app.errors import InputError
from zeus_app.volumes.voxels import not_one_number

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def stored_pixels(data: pydicom.FileDataset, path: Path) -> npt.NDArray[np.number[Any]]:
    """The numbers as stored, (frames, rows, columns), without slope and intercept.

    Bits beside the stored ones are not part of a pixel: old files keep overlays in them.

    Raises:
        InputError: no decoder knows the transfer syntax.
        Exception: of one of many types, if the pixels are damaged or cut.
    """
    if int(data.get("SamplesPerPixel") or 1) != 1:
        raise not_one_number(path, f"{data.SamplesPerPixel} values per pixel")
    _name_syntax(data)
    if not any(name in data for name in _PIXELS):
        raise EOFError("it ends before its pixels, or has none")
    try:
        pixels = data.pixel_array
    except NotImplementedError as error:
        name = data.file_meta.TransferSyntaxUID.name
        raise InputError(
            f"{path}: pixels in the transfer syntax {name}",
            expected="pixels without compression, or in JPEG, JPEG-LS, JPEG 2000 or RLE",
            remedy="decompress the file, for example with gdcmconv --raw",
        ) from error
    shape = (-1, int(data.Rows), int(data.Columns))
    return _stored_bits(pixels, data).reshape(shape)


def _name_syntax(data: pydicom.FileDataset) -> None:
    """A data set without a header of the file has the transfer syntax that it was read in."""
    if "TransferSyntaxUID" in data.file_meta:
        return
    explicit = ExplicitVRLittleEndian if data.is_little_endian else ExplicitVRBigEndian
    data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if data.is_implicit_VR else explicit


def _stored_bits(
    pixels: npt.NDArray[np.number[Any]], data: pydicom.FileDataset
) -> npt.NDArray[np.number[Any]]:
    """The pixels without the bits above High Bit and below the stored ones, sign included."""
    if pixels.dtype.kind not in "iu" or "BitsStored" not in data:
        return pixels
    bits = pixels.dtype.itemsize * 8
    above = bits - 1 - int(data.get("HighBit", data.BitsStored - 1))
    unused = bits - int(data.BitsStored)
    if not 0 <= above <= unused:
        raise ValueError("High Bit does not fit Bits Stored")
    native = pixels.astype(pixels.dtype.newbyteorder("="))
    stored: npt.NDArray[np.number[Any]] = np.right_shift(np.left_shift(native, above), unused)
    return stored
