"""Pixels come out as they were stored, whatever the transfer syntax."""

import base64
import contextlib
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessP14,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.dicom.enhanced_files import Frame, enhanced_mr
from tests.studies.tiny_files import dicom_series
from zeus_app.dicom.pixels import stored_pixels
from zeus_app.dicom.series import read_elements
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError

RAMP = [[10 * row + column for column in range(5)] for row in range(4)]
# Frames of RAMP, 16 bit, from dcmcjpeg of DCMTK 3.6.7 (+e1 and +el).
DCMTK_SV1 = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/wwALEAAEAAUBAREA/8QAFgABAQEAAAAAAAAAAAAAAAAAAQQQ/9oACAEBAAEAAMq1"
    "KtSrUq//2Q=="
)
DCMTK_P14 = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/wwALEAAEAAUBAREA/8QAFwABAQEBAAAAAAAAAAAAAAAAAwEEEP/aAAgBAQAGAADr"
    "bdSqq6lVV1Kqr///2Q=="
)


def pixels(path: Path | str) -> npt.NDArray[np.number[Any]]:
    return stored_pixels(read_elements(Path(path)), Path(path))


def rewritten(folder: Path, **changes: Any) -> Path:
    """One image, with other elements."""
    path = dicom_series(folder, "t2_tra", positions=[(0, 0, 0)]) / "000.dcm"
    data = pydicom.dcmread(path)
    for name, value in changes.items():
        setattr(data, name, value)
    data.save_as(path)
    return path


def packed(folder: Path, syntax: UID, *frames: bytes) -> Path:
    """One image whose pixels are compressed."""
    path = rewritten(folder, PixelData=encapsulate(list(frames)))
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = syntax
    data["PixelData"].is_undefined_length = True
    data.save_as(path)
    return path


def encoded(array: npt.NDArray[np.generic], syntax: UID) -> bytes:
    """A compressed frame, by Pillow, CharLS or pydicom."""
    bits = array.dtype.itemsize * 8
    frame: bytes = highdicom.frame.encode_frame(
        array,
        syntax,
        bits_allocated=bits,
        bits_stored=bits,
        photometric_interpretation="MONOCHROME2",
        pixel_representation=0,
    )
    return frame


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_pixels_compressed_without_loss_are_those_stored(tmp_path: Path, syntax: UID) -> None:
    image = np.random.default_rng(0).integers(0, 4096, (4, 5), np.uint16)
    if syntax == JPEG2000Lossless:  # Pillow wants edges that the wavelets can halve
        image = np.random.default_rng(0).integers(0, 4096, (64, 80), np.uint16)
    path = packed(tmp_path, syntax, encoded(image, syntax))
    data = pydicom.dcmread(path)
    data.Rows, data.Columns = image.shape
    data.save_as(path)
    np.testing.assert_array_equal(pixels(path)[0], image)


@pytest.mark.parametrize(
    ("syntax", "frame"), [(JPEGLosslessSV1, DCMTK_SV1), (JPEGLosslessP14, DCMTK_P14)]
)
def test_lossless_jpeg_of_dcmtk_is_read(tmp_path: Path, syntax: UID, frame: str) -> None:
    path = packed(tmp_path, syntax, base64.b64decode(frame))
    assert pixels(path).tolist() == [RAMP]


def test_baseline_jpeg_is_read_as_simpleitk_reads_it(tmp_path: Path) -> None:
    smooth = (np.add.outer(np.arange(32), np.arange(40)) * 3).astype(np.uint8)
    path = packed(tmp_path, JPEGBaseline8Bit, encoded(smooth, JPEGBaseline8Bit))
    data = pydicom.dcmread(path)
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, (data.Rows, data.Columns) = 7, smooth.shape
    data.save_as(path)
    read = pixels(path)[0]
    assert np.abs(read.astype(int) - smooth).max() <= 4  # JPEG with loss
    np.testing.assert_array_equal(read, sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0])


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless", "MR_small_bigendian",
        "MR_small_implicit", "MR_small_padded",
    ],
)  # fmt: skip
def test_one_image_in_every_syntax_has_the_same_pixels(name: str) -> None:
    plain = sitk.GetArrayFromImage(sitk.ReadImage(get_testdata_file("MR_small.dcm")))
    np.testing.assert_array_equal(pixels(get_testdata_file(f"{name}.dcm")), plain)


@pytest.mark.parametrize("name", ["JPEG2000", "J2K_pixelrep_mismatch"])
def test_jpeg_2000_with_loss_or_wrong_signs_is_read_as_pillow_reads_it(name: str) -> None:
    path = get_testdata_file(f"{name}.dcm")
    data = pydicom.dcmread(path)
    data.convert_pixel_data("pillow")
    np.testing.assert_array_equal(pixels(path)[0], data.pixel_array)


def test_jpeg_of_12_bits_is_read_as_simpleitk_reads_the_whole_file() -> None:
    path = get_testdata_file("JPGExtended.dcm")
    np.testing.assert_array_equal(pixels(path), sitk.GetArrayFromImage(sitk.ReadImage(path)))


def test_jpeg_frames_of_an_enhanced_file_are_read(tmp_path: Path) -> None:
    path = enhanced_mr(tmp_path / "a.dcm", [Frame((0, 0, 0)), Frame((0, 0, 3), scale=(2.0, 1.0))])
    data = pydicom.dcmread(path)
    data.PixelData = encapsulate([base64.b64decode(DCMTK_SV1)] * 2)
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    data.save_as(path)
    array = DicomSeriesSource((path,)).load().array
    np.testing.assert_array_equal(array[:, :, 0].T, RAMP)
    np.testing.assert_array_equal(array[:, :, 1].T, 2 * np.array(RAMP) + 1)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_syntaxes_without_compression_of_pixels_are_read(tmp_path: Path, syntax: UID) -> None:
    path = dicom_series(tmp_path, "t2_tra", positions=[(0, 0, 0)]) / "000.dcm"
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = syntax
    data.is_implicit_VR, data.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    if not syntax.is_little_endian:
        data.PixelData = np.array(RAMP, ">u2").tobytes()
    data.save_as(path)
    assert pixels(path).tolist() == [RAMP]


def test_bits_beside_the_stored_ones_are_no_part_of_a_pixel(tmp_path: Path) -> None:
    # 12 bits are stored in bits 0 to 11; the others hold overlays. 0xFFF is -1 with a sign.
    stored = np.array([0x8005, 0x1FFF, 0x7800, *range(17)], np.uint16)
    elements = {"BitsStored": 12, "HighBit": 11, "PixelData": stored.tobytes()}
    unsigned = rewritten(tmp_path / "a", PixelRepresentation=0, **elements)
    assert pixels(unsigned)[0, 0, :3].tolist() == [5, 4095, 2048]
    signed = rewritten(tmp_path / "b", PixelRepresentation=1, **elements)
    assert pixels(signed)[0, 0, :3].tolist() == [5, -1, -2048]
    high = rewritten(tmp_path / "c", **(elements | {"HighBit": 15}))
    assert pixels(high)[0, 0, :3].tolist() == [0x800, 0x1FF, 0x780]


def test_an_unknown_transfer_syntax_is_refused_with_a_way_out(tmp_path: Path) -> None:
    path = packed(tmp_path, UID("1.2.840.10008.1.2.4.102"), b"\0\0\0\1")
    with pytest.raises(InputError, match=r"MPEG-4.*gdcmconv --raw"):
        DicomSeriesSource((path,)).load()


def test_damaged_compressed_pixels_are_refused_without_their_bytes(tmp_path: Path) -> None:
    path = packed(tmp_path, JPEGLosslessSV1, base64.b64decode(DCMTK_SV1)[:40])
    with pytest.raises(InputError, match=r"000.dcm cannot be read: its pixels are damaged \(\w+\)"):
        DicomSeriesSource((path,)).load()


@pytest.mark.parametrize("name", ["JPGExtended", "MR_small_jp2klossless", "MR_small_RLE"])
def test_damage_in_compressed_pixels_never_ends_the_process(tmp_path: Path, name: str) -> None:
    content = Path(get_testdata_file(f"{name}.dcm")).read_bytes()
    start = content.index(b"\xe0\x7f\x10\x00") + 28
    random = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(content)
        damaged[start + int(random.integers(0, 400))] ^= 0x5A
        path = tmp_path / "damaged.dcm"
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):
            DicomSeriesSource((path,)).load()


def test_a_frame_is_decoded_without_the_elements_that_name_the_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(tmp_path, JPEGLosslessSV1, base64.b64decode(DCMTK_SV1))
    written: list[pydicom.Dataset] = []
    write = pydicom.dcmwrite

    def record(file: Path, data: pydicom.Dataset, **options: bool) -> None:
        written.append(data)
        write(file, data, **options)

    monkeypatch.setattr(pydicom, "dcmwrite", record)
    assert pixels(path).tolist() == [RAMP]
    assert [("PatientID" in data, "StudyDate" in data) for data in written] == [(False, False)]


def test_several_values_per_pixel_are_refused(tmp_path: Path) -> None:
    path = rewritten(tmp_path, SamplesPerPixel=3, PlanarConfiguration=0, PixelData=bytes(120))
    with pytest.raises(InputError, match="3 values per pixel"):
        DicomSeriesSource((path,)).load()


def test_a_high_bit_that_fits_no_pixel_is_refused(tmp_path: Path) -> None:
    path = rewritten(tmp_path, BitsStored=12, HighBit=3)
    with pytest.raises(InputError, match="its pixels are damaged"):
        DicomSeriesSource((path,)).load()


def test_a_file_without_pixels_is_refused(tmp_path: Path) -> None:
    path = rewritten(tmp_path)
    data = pydicom.dcmread(path)
    del data.PixelData
    data.save_as(path)
    with pytest.raises(InputError, match="it ends before its pixels"):
        DicomSeriesSource((path,)).load()
