"""Frames: the decoded numbers are pydicom's, and what is stored comes as it lies in the file."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from highdicom.frame import encode_frame
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_pixel_data_frame
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.studies.tiny_files import dicom_series
from zeus_app.dicom.web.pixels import Part, frames, picture
from zeus_app.errors import InputError, UnknownNameError

ALL = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'  # as OHIF sends it
PLAIN = 'multipart/related; type="application/octet-stream"'
PLAIN_TYPE = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
STORED_TYPES = {
    "MR_small_RLE.dcm": "image/dicom-rle; transfer-syntax=1.2.840.10008.1.2.5",
    "MR_small_jp2klossless.dcm": "image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90",
    "MR_small_jpeg_ls_lossless.dcm": "image/jls; transfer-syntax=1.2.840.10008.1.2.4.80",
}


def file_of(name: str) -> Path:
    return Path(str(get_testdata_file(name, download=False)))


def pixels(name: str) -> npt.NDArray[Any]:
    """(rows, columns) by pydicom."""
    array: npt.NDArray[Any] = pydicom.dcmread(file_of(name)).pixel_array
    return array


def sent(path: Path, numbers: Sequence[int] = (1,), accept: str = ALL) -> list[Part]:
    return list(frames(path, numbers, accept=accept))


@pytest.mark.parametrize("name", STORED_TYPES)
def test_a_compressed_frame_is_sent_as_it_lies_in_the_file(name: str) -> None:
    (part,) = sent(file_of(name))
    data = pydicom.dcmread(file_of(name))
    assert part.media_type == STORED_TYPES[name]
    assert part.body == next(generate_pixel_data_frame(data.PixelData, 1))


@pytest.mark.parametrize("accept", [ALL, PLAIN, "", "*/*"])
@pytest.mark.parametrize(
    "name", ["MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"]
)
def test_other_pixels_are_sent_as_little_endian_numbers(name: str, accept: str) -> None:
    (part,) = sent(file_of(name), accept=accept)
    assert part.media_type == PLAIN_TYPE
    np.testing.assert_array_equal(np.frombuffer(part.body, "<i2"), pixels("MR_small.dcm").ravel())


@pytest.mark.parametrize(
    "accept", [PLAIN, f'{PLAIN}; transfer-syntax="1.2.840.10008.1.2.1"', "application/octet-stream"]
)
@pytest.mark.parametrize("name", STORED_TYPES)
def test_a_client_that_decodes_nothing_gets_numbers(name: str, accept: str) -> None:
    (part,) = sent(file_of(name), accept=accept)
    assert part.media_type == PLAIN_TYPE
    np.testing.assert_array_equal(np.frombuffer(part.body, "<i2"), pixels("MR_small.dcm").ravel())


def several_frames(path: Path, syntax: str) -> npt.NDArray[np.uint16]:
    """Write three frames of 4×5 pixels that all differ; returns them."""
    file = next(dicom_series(path, "t2").iterdir())
    data = pydicom.dcmread(file)
    array = (1000 + 7 * np.arange(60)).astype(np.uint16).reshape(3, 4, 5)
    data.NumberOfFrames, data.PixelData = 3, array.tobytes()
    if syntax not in (ExplicitVRLittleEndian, ExplicitVRBigEndian):
        encoded = [encode_frame(frame, syntax, 16, 16, "MONOCHROME2") for frame in array]
        data.PixelData = encapsulate(encoded)
        data["PixelData"].is_undefined_length = True
    if syntax == ExplicitVRBigEndian:
        data.PixelData, data.is_little_endian = array.astype(">u2").tobytes(), False
    data.file_meta.TransferSyntaxUID = syntax
    data.save_as(path / "several.dcm", write_like_original=False)
    return array


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless],
)
def test_each_frame_of_several_is_the_asked_one(tmp_path: Path, syntax: str) -> None:
    truth = several_frames(tmp_path, syntax)
    parts = sent(tmp_path / "several.dcm", (3, 1), accept=PLAIN)
    shown = [np.frombuffer(part.body, "<u2").reshape(4, 5) for part in parts]
    np.testing.assert_array_equal(shown, truth[[2, 0]])


def test_a_stored_frame_of_several_is_the_asked_one(tmp_path: Path) -> None:
    truth = several_frames(tmp_path, RLELossless)
    (part,) = sent(tmp_path / "several.dcm", (2,))
    assert part.body == encode_frame(truth[1], RLELossless, 16, 16, "MONOCHROME2")


def test_a_frame_of_one_bit_has_eight_pixels_in_a_byte() -> None:
    """Pydicom unpacks the bits by itself."""
    truth = pydicom.dcmread(file_of("liver_1frame.dcm")).pixel_array
    (part,) = sent(file_of("liver_1frame.dcm"))
    bits = np.unpackbits(np.frombuffer(part.body, np.uint8), bitorder="little")
    np.testing.assert_array_equal(bits.reshape(truth.shape), truth)


def test_frames_of_one_bit_that_share_a_byte_are_told_apart(tmp_path: Path) -> None:
    """Two frames of 2×2 pixels: 1 0 0 1 and 1 1 1 0, in the bits of one byte from the lowest on."""
    path = next(dicom_series(tmp_path, "seg").iterdir())
    data = pydicom.dcmread(path)
    data.Rows = data.Columns = data.NumberOfFrames = 2
    data.BitsAllocated, data.PixelData = 1, bytes([0b0111_1001, 0])
    data.save_as(path)
    assert [part.body for part in sent(path, (1, 2))] == [bytes([0b1001]), bytes([0b0111])]


@pytest.mark.parametrize("number", [2, 100_000])
def test_a_frame_that_is_not_there_is_refused_before_the_first_is_made(number: int) -> None:
    with pytest.raises(UnknownNameError, match=f"frame {number}"):
        frames(file_of("MR_small.dcm"), (1, number), accept=ALL)


def test_a_file_without_pixels_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="which has none"):
        sent(file_of("reportsi.dcm"))


def test_cut_pixels_are_refused(tmp_path: Path) -> None:
    path = next(dicom_series(tmp_path, "t2").iterdir())
    data = pydicom.dcmread(path)
    data.PixelData = data.PixelData[:-2]
    data.save_as(path)
    with pytest.raises(InputError, match="pixels are cut"):
        sent(path)


def test_pixels_without_a_description_are_refused(tmp_path: Path) -> None:
    path = next(dicom_series(tmp_path, "t2").iterdir())
    data = pydicom.dcmread(path)
    del data.Rows
    data.save_as(path)
    with pytest.raises(InputError, match="not described"):
        sent(path)


def test_what_nothing_here_decodes_is_told(tmp_path: Path) -> None:
    """A JPEG-LS frame under the name of another transfer syntax."""
    content = file_of("MR_small_jpeg_ls_lossless.dcm").read_bytes()
    path = tmp_path / "a.dcm"
    path.write_bytes(content.replace(b"1.2.840.10008.1.2.4.80", b"1.2.840.10008.1.2.4.99"))
    with pytest.raises(InputError, match="cannot be decoded here"):
        sent(path, accept=PLAIN)
    assert sent(path)[0].media_type.endswith("; transfer-syntax=1.2.840.10008.1.2.4.99")


def drawn(path: Path, number: int = 1, *, most_px: int = 0) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(picture(path, number, most_px=most_px))))


def test_a_picture_has_the_window_of_the_header(tmp_path: Path) -> None:
    """Pixel (row, column) is 10 row + column; 2 times it minus 10 lies between -10 and 58."""
    path = next(dicom_series(
        tmp_path, "t2", positions=[(0, 0, 0)], RescaleSlope="2", RescaleIntercept="-10",
        WindowCenter=["20", "1"], WindowWidth=["40", "1"],
    ).iterdir())  # fmt: skip
    grey = drawn(path)
    values = 2 * np.add.outer(10 * np.arange(4), np.arange(5)) - 10
    np.testing.assert_array_equal(grey, np.clip(values / 40 * 255, 0, 255).round())


def test_a_picture_without_a_window_uses_the_whole_range(tmp_path: Path) -> None:
    grey = drawn(next(dicom_series(tmp_path, "t2", positions=[(0, 0, 0)]).iterdir()))
    assert (grey.min(), grey.max()) == (0, 255)
    assert np.all(np.diff(grey.astype(int), axis=0) > 0)


def test_what_is_stored_inverted_is_drawn_inverted(tmp_path: Path) -> None:
    path = next(dicom_series(
        tmp_path, "t2", positions=[(0, 0, 0)], PhotometricInterpretation="MONOCHROME1"
    ).iterdir())  # fmt: skip
    assert drawn(path)[0, 0] > drawn(path)[3, 4]


def test_a_thumbnail_is_small() -> None:
    assert drawn(file_of("MR_small.dcm"), most_px=32).shape == (32, 32)


def test_a_compressed_frame_is_drawn() -> None:
    np.testing.assert_array_equal(
        drawn(file_of("MR_small_jp2klossless.dcm")), drawn(file_of("MR_small.dcm"))
    )
