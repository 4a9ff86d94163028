"""Frames of DICOM images as WADO-RS sends them: as they are stored, decoded, or as pictures."""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from highdicom.frame import decode_frame
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import generate_pixel_data_frame
from pydicom.pixel_data_handlers.util import apply_modality_lut
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from zeus_app.dicom.pixels import JPEG_FAMILY, decode_frames
from zeus_app.dicom.web.json_model import read_data_set
from zeus_app.errors import InputError, UnknownNameError

_SYNTAX = re.compile(r'transfer-syntax="?([0-9.*]+)')
_NATIVE = frozenset({
    ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
})  # fmt: skip
_MEDIA = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.80": "image/jls", "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2", "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx", "1.2.840.10008.1.2.4.93": "image/jpx",
    **{f"1.2.840.10008.1.2.4.{n}": "image/jpeg" for n in (50, 51, 57, 70)},
    **{f"1.2.840.10008.1.2.4.{n}": "image/jphc" for n in (201, 202, 203)},
}  # fmt: skip
"""Transfer syntax -> media type (DICOM PS3.18, table 8.7.3-5)."""
_NEEDED = (
    "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation",
    "PhotometricInterpretation",
)  # fmt: skip
_DARKEST, _BRIGHTEST = 1, 99  # percentiles, without a window in the header


@dataclass(frozen=True)
class Part:
    """One part of an answer.

    Attributes:
        media_type: with the transfer syntax of a frame.
        body: its bytes.
    """

    media_type: str
    body: bytes


def frames(path: Path, numbers: Sequence[int], *, accept: str) -> Iterator[Part]:
    """Frames of an image, each a part, made one after another.

    A frame is sent as it is stored if the client takes this transfer syntax or all. Else it is
    decoded: little endian, without a header.

    Args:
        path: the file.
        numbers: numbers of frames, from 1.
        accept: the request's header.

    Raises:
        UnknownNameError: the image has no such frame, or no pixels.
        InputError: the file is damaged, or nothing here decodes its transfer syntax.
    """
    image = _Image(path)
    image.check(max(numbers))
    accepted = set(_SYNTAX.findall(accept))
    is_stored = bool(accepted & {"*", str(image.syntax)})
    if not accepted:
        is_stored = "application/octet-stream" not in accept
    if image.is_encapsulated and is_stored:
        stored = _MEDIA.get(image.syntax, "application/octet-stream")
        media = f"{stored}; transfer-syntax={image.syntax}"
        return (Part(media, image.stored(number)) for number in numbers)
    media = f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}"
    return (Part(media, image.plain(number)) for number in numbers)


def picture(path: Path, number: int, *, most_px: int = 0) -> bytes:
    """A frame as PNG, in the window of its header, else between two percentiles.

    Args:
        path: the file.
        number: of the frame, from 1.
        most_px: longest edge of a thumbnail; 0 for the size of the frame.

    Raises: as `frames`.
    """
    image = _Image(path)
    pixels = image.array(number)
    grey = _windowed(pixels, image.data) if pixels.ndim == 2 else pixels.astype(np.uint8)
    drawn = Image.fromarray(grey)
    if most_px:
        drawn.thumbnail((most_px, most_px))
    out = io.BytesIO()
    drawn.save(out, "PNG")
    return out.getvalue()


class _Image:
    """The pixels of one file."""

    def __init__(self, path: Path) -> None:
        self.data: Any = read_data_set(path, pixels=True)
        if "PixelData" not in self.data:
            raise UnknownNameError(
                f"pixels of {path}, which has none",
                expected="an image",
                remedy="ask for its metadata",
            )
        if any(self.data.get(name) is None for name in _NEEDED):
            raise self._damaged()
        self.syntax = str(self.data.file_meta.get("TransferSyntaxUID") or _syntax_of(self.data))
        self.is_encapsulated = self.syntax not in _NATIVE
        self._frames = int(self.data.get("NumberOfFrames") or 1)

    def stored(self, number: int) -> bytes:
        """An encapsulated frame, as it lies in the file."""
        self.check(number)
        fragments = generate_pixel_data_frame(self.data.PixelData, self._frames)
        for n, fragment in enumerate(fragments, start=1):
            if n == number:
                return bytes(fragment)
        raise self._damaged()

    def plain(self, number: int) -> bytes:
        """A frame of numbers: little endian; of one bit, eight pixels in a byte."""
        if self.is_encapsulated:
            return self.array(number).astype(self._dtype().newbyteorder("<")).tobytes()
        values = self._values(number)
        if self.data.BitsAllocated == 1:
            return np.packbits(values, bitorder="little").tobytes()
        return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()

    def array(self, number: int) -> npt.NDArray[Any]:
        """(rows, columns) or (rows, columns, 3): the stored numbers of a frame."""
        data = self.data
        if not self.is_encapsulated:
            shape: tuple[int, ...] = (data.Rows, data.Columns)
            if data.SamplesPerPixel > 1 and data.get("PlanarConfiguration"):
                return np.moveaxis(self._values(number).reshape(-1, *shape), 0, -1)
            shape = (*shape, data.SamplesPerPixel) if data.SamplesPerPixel > 1 else shape
            return self._values(number).reshape(shape)
        try:
            return self._decoded(self.stored(number))
        except InputError:
            raise
        except Exception as error:  # decoders raise exceptions of many types
            raise InputError(
                f"frame {number} in the transfer syntax {self.syntax}, which cannot be decoded"
                f" here ({type(error).__name__})",
                expected="a client that takes frames as they are stored",
                remedy='ask with Accept: multipart/related; type="application/octet-stream";'
                " transfer-syntax=*",
            ) from None

    def _decoded(self, frame: bytes) -> npt.NDArray[Any]:
        """An encapsulated frame as numbers."""
        data = self.data
        if self.syntax in JPEG_FAMILY and data.SamplesPerPixel == 1:
            return next(decode_frames([frame], data))
        return np.asarray(decode_frame(
            frame, self.syntax, data.Rows, data.Columns, data.SamplesPerPixel,
            data.BitsAllocated, data.BitsStored, data.PhotometricInterpretation,
            data.PixelRepresentation, data.get("PlanarConfiguration"),
        ))  # fmt: skip

    def _values(self, number: int) -> npt.NDArray[Any]:
        """The numbers of a frame that is not encapsulated, in one row."""
        self.check(number)
        data = self.data
        count = data.Rows * data.Columns * data.SamplesPerPixel
        start = (number - 1) * count
        if data.BitsAllocated == 1:
            first, last = start // 8, (start + count + 7) // 8
            packed = np.frombuffer(data.PixelData[first:last], np.uint8)
            bits = np.unpackbits(packed, bitorder="little")
            values: npt.NDArray[Any] = bits[start - 8 * first :][:count]
        else:
            dtype = self._dtype()
            size = dtype.itemsize
            part = data.PixelData[start * size : (start + count) * size]
            values = np.frombuffer(part[: len(part) // size * size], dtype)
        if len(values) != count:
            raise self._damaged()
        return values

    def _dtype(self) -> np.dtype[Any]:
        kind = "i" if self.data.PixelRepresentation else "u"
        order = ">" if self.syntax == ExplicitVRBigEndian else "<"
        return np.dtype(f"{order}{kind}{max(self.data.BitsAllocated // 8, 1)}")

    def check(self, number: int) -> None:
        """Raise UnknownNameError for a frame that the image does not have."""
        if number > self._frames:
            raise UnknownNameError(
                f"frame {number}", expected=f"1 to {self._frames}", remedy="count frames from 1"
            )

    def _damaged(self) -> InputError:
        return InputError(
            "a file whose pixels are cut, or not described",
            expected="a complete DICOM image",
            remedy="copy the file again from its origin",
        )


def _syntax_of(data: Dataset) -> str:
    """The transfer syntax of a file that names none."""
    return str(ImplicitVRLittleEndian if data.is_implicit_VR else ExplicitVRLittleEndian)


def _windowed(pixels: npt.NDArray[Any], data: Any) -> npt.NDArray[np.uint8]:
    """8-bit greys of a frame."""
    values = np.asarray(apply_modality_lut(pixels, data), np.float64)
    centre, width = _first(data.get("WindowCenter")), _first(data.get("WindowWidth"))
    low, high = np.percentile(values, [_DARKEST, _BRIGHTEST])
    if centre is not None and width:
        low, high = centre - width / 2, centre + width / 2
    grey = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    if data.PhotometricInterpretation == "MONOCHROME1":
        grey = 1 - grey
    return np.asarray((255 * grey).round(), np.uint8)


def _first(value: Any) -> float | None:
    """The number, or the first of several; None if there is none."""
    try:
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        return float(next(iter(values)))
    except (StopIteration, TypeError, ValueError):
        return None
