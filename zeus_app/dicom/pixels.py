"""The stored pixels of a DICOM file, in any transfer syntax.

pydicom reads pixels without compression and RLE. SimpleITK decodes JPEG, JPEG-LS and JPEG 2000
with its GDCM. It is given each frame alone, with the elements that describe pixels: of a whole file
it would read the slope of the first frame for all, and damaged frames would end other decoders.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_pixel_data_frame
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    MRImageStorage,
    generate_uid,
)

from zeus_app.errors import InputError
from zeus_app.volumes.voxels import not_one_number

Pixels = npt.NDArray[np.number[Any]]
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
JPEG_FAMILY = frozenset(JPEGTransferSyntaxes + JPEGLSTransferSyntaxes + JPEG2000TransferSyntaxes)
"""The transfer syntaxes that `decode_frames` decodes."""
_DESCRIBE_PIXELS = (
    "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation",
)  # fmt: skip


def stored_pixels(data: FileDataset, path: Path) -> Pixels:
    """The numbers as stored, (frames, rows, columns), without slope and intercept.

    Bits beside the stored ones are not part of a pixel: old files keep overlays in them.

    Raises:
        InputError: no decoder knows the transfer syntax.
        Exception: of one of many types, if the pixels are damaged or cut.
    """
    if int(data.get("SamplesPerPixel") or 1) != 1:
        raise not_one_number(path, f"{data.SamplesPerPixel} values per pixel")
    if not any(name in data for name in _PIXELS):
        raise EOFError("it ends before its pixels, or has none")
    _name_syntax(data)
    if data.file_meta.TransferSyntaxUID in JPEG_FAMILY:
        packed = generate_pixel_data_frame(data.PixelData, int(data.get("NumberOfFrames") or 1))
        return _stored_bits(np.stack(list(decode_frames(packed, data))), data)
    try:
        pixels = data.pixel_array
    except NotImplementedError as error:
        name = data.file_meta.TransferSyntaxUID.name
        raise InputError(
            f"{path}: pixels in the transfer syntax {name}",
            expected="pixels without compression, or in JPEG, JPEG-LS, JPEG 2000 or RLE",
            remedy="decompress the file, for example with gdcmconv --raw",
        ) from error
    return _stored_bits(pixels.reshape(-1, int(data.Rows), int(data.Columns)), data)


def _name_syntax(data: FileDataset) -> None:
    """A data set without a header of the file has the transfer syntax that it was read in."""
    if "TransferSyntaxUID" in data.file_meta:
        return
    explicit = ExplicitVRLittleEndian if data.is_little_endian else ExplicitVRBigEndian
    data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if data.is_implicit_VR else explicit


def decode_frames(frames: Iterable[bytes], data: FileDataset) -> Iterator[Pixels]:
    """Frames of one number per pixel, decoded one after the other.

    Args:
        frames: the frames as they lie in the file.
        data: the file's elements, with its transfer syntax, one of `JPEG_FAMILY`.

    Yields:
        (rows, columns) each.

    Raises:
        RuntimeError: a frame is damaged.
    """
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    with TemporaryDirectory() as folder:
        file = Path(folder, "frame.dcm")
        reader.SetFileName(str(file))
        for frame in frames:
            _write_frame(frame, data, file)
            yield sitk.GetArrayFromImage(reader.Execute()).reshape(data.Rows, data.Columns)


def _write_frame(packed: bytes, data: FileDataset, file: Path) -> None:
    """One compressed frame as a file without any element that tells of the patient."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
    image = FileDataset(str(file), {}, file_meta=meta, preamble=bytes(128))
    image.is_little_endian, image.is_implicit_VR = True, False
    image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
    for name in _DESCRIBE_PIXELS:
        if name in data:
            image[name] = data[name]
    image.PixelData = encapsulate([packed])
    image["PixelData"].is_undefined_length = True
    pydicom.dcmwrite(file, image, write_like_original=False)


def _stored_bits(pixels: Pixels, data: FileDataset) -> Pixels:
    """The pixels without the bits above High Bit and below the stored ones, sign included."""
    if pixels.dtype.kind not in "iu" or "BitsStored" not in data:
        return pixels
    bits = pixels.dtype.itemsize * 8
    above = bits - 1 - int(data.get("HighBit", data.BitsStored - 1))
    unused = bits - int(data.BitsStored)
    if not 0 <= above <= unused:
        raise ValueError("High Bit does not fit Bits Stored")
    native = pixels.astype(pixels.dtype.newbyteorder("="))
    stored: Pixels = np.right_shift(np.left_shift(native, above), unused)
    return stored
