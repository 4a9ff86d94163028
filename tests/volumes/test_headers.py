"""A volume whose voxels lie elsewhere is refused before ITK opens it."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.volumes.itk_headers import meta_header, nrrd_header
from zeus_app.errors import InputError
from zeus_app.volumes.headers import check_itk_file, read_header
from zeus_app.volumes.sources import ItkSource, read_voxels

NRRD = nrrd_header("8 8 8")
META = meta_header("8 8 8")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "other" / "secret"
    path.parent.mkdir()
    path.write_bytes(bytes(range(256)) * 2)
    return path


def file_with(tmp_path: Path, ending: str, header: str, voxels: bytes = b"") -> Path:
    path = tmp_path / f"x{ending}"
    path.write_bytes(header.encode() + voxels)
    return path


@pytest.mark.parametrize("key", ["data file", "datafile", "DATA FILE", "Data File ", "dataFile"])
def test_a_nrrd_header_that_names_another_place_is_refused(
    tmp_path: Path, secret: Path, key: str
) -> None:
    for value in (
        str(secret),
        "other/secret",
        "../x",
        "LIST",
        "LIST 2\nother/secret",
        "%03d 1 8 1",
    ):
        path = file_with(tmp_path, ".nrrd", f"{NRRD}{key}: {value}\n\n")
        with pytest.raises(InputError):
            ItkSource(path).load()
        with pytest.raises(InputError):
            ItkSource(path).grid()


@pytest.mark.parametrize("ending", [".mha", ".mhd"])
@pytest.mark.parametrize("line", [
    "ElementDataFile = {}", "elementdatafile = {}", "ElementDataFile: {}", "ElementDataFile={}",
    "ElementDataFile = LIST\n{}", "ElementDataFile = LIST 3\n{}", "ElementDataFile: {} = LOCAL",
    "ElementDataFile = {}\nElementDataFile = LOCAL", "Comment = a\rElementDataFile = {}\rX = y",
    "ElementDataFile = %s 1 8 1", "ElementDataFile = LOCAL {}",
])  # fmt: skip
def test_a_meta_image_that_names_another_place_is_refused(
    tmp_path: Path, secret: Path, ending: str, line: str
) -> None:
    for value in (str(secret), "other/secret", "../secret"):
        path = file_with(tmp_path, ending, f"{META}{line.format(value)}\n")
        with pytest.raises(InputError):
            ItkSource(path).load()


@pytest.mark.parametrize("skip", ["byte skip: 5", "line skip: 1", "byteskip: 5"])
def test_voxels_that_do_not_follow_the_header_are_refused(tmp_path: Path, skip: str) -> None:
    path = file_with(tmp_path, ".nrrd", f"{NRRD}{skip}\n\n", bytes(600))
    with pytest.raises(InputError, match="do not follow"):
        ItkSource(path).load()


@pytest.mark.parametrize(
    ("ending", "header"),
    [
        (".nrrd", NRRD.replace("8 8 8", "1300 1300 1300") + "\n"),
        (".nrrd", NRRD.replace("8 8 8", "1100 1100 1100").replace("raw", "gzip") + "\n"),
        (".mha", META.replace("8 8 8", "1300 1300 1300") + "ElementDataFile = LOCAL\n"),
        (".mha", META + "CompressedData = True\nDimSize = 9 9 9\nElementDataFile = LOCAL\n"),
        (".nrrd", NRRD.replace("8 8 8", "-8 8 8") + "\n"),
        (".nrrd", NRRD.replace("8 8 8", "9" * 5000) + "\n"),
        (".nrrd", NRRD),
        (".nrrd", "NRRD0004\n"),
        (".mha", META),
        (".mha", "\0\0\0"),
        (".nrrd", ""),
    ],
)
def test_a_header_that_the_file_does_not_fill_is_refused(
    tmp_path: Path, ending: str, header: str
) -> None:
    path = file_with(tmp_path, ending, header, gzip.compress(bytes(1000)))
    with pytest.raises(InputError):
        read_voxels(path)


@pytest.mark.parametrize(
    "axes", ["-1", "0", "2", "4", "65536", "4294967299", "9" * 100, "3.0", "x"]
)
def test_a_number_of_axes_that_contradicts_the_sizes_is_refused(tmp_path: Path, axes: str) -> None:
    nrrd = NRRD.replace("dimension: 3", f"dimension: {axes}")
    meta = META.replace("NDims = 3", f"NDims = {axes}")
    for ending, header in ((".nrrd", f"{nrrd}\n"), (".mha", f"{meta}ElementDataFile = LOCAL\n")):
        with pytest.raises(InputError, match="axes"):  # ITK would end the process
            ItkSource(file_with(tmp_path, ending, header, bytes(512))).grid()


@pytest.mark.parametrize("key", ["thicknesses", "spaceunits", "kinds", "unknown"])
def test_a_nrrd_line_that_overflows_a_buffer_of_itk_is_refused(tmp_path: Path, key: str) -> None:
    path = file_with(tmp_path, ".nrrd", f"{NRRD}{key}: {'x' * 3000}\n\n", bytes(512))
    with pytest.raises(InputError, match="long"):
        ItkSource(path).grid()


@pytest.mark.parametrize("key", ["Name", "Comment", "Unknown"])
def test_a_meta_image_value_that_overflows_a_buffer_of_itk_is_refused(
    tmp_path: Path, key: str
) -> None:
    header = f"{META}{key} = {'x' * 300}\nElementDataFile = LOCAL\n"
    with pytest.raises(InputError, match="long"):
        ItkSource(file_with(tmp_path, ".mha", header, bytes(512))).grid()


@pytest.mark.parametrize("units", ['"um" "um" "um"', '"mm" "mm" "m"', '"micron" "micron" "micron"'])
@pytest.mark.parametrize("key", ["space units", "units"])
def test_lengths_that_itk_would_take_for_mm_are_refused(
    tmp_path: Path, key: str, units: str
) -> None:
    path = file_with(tmp_path, ".nrrd", f"{NRRD}{key}: {units}\n\n", bytes(512))
    with pytest.raises(InputError, match=r"lengths in \w+"):
        ItkSource(path).grid()


@pytest.mark.parametrize(
    ("unit", "is_taken"), [("mm", True), ("?", True), ("um", False), ("cm", False)]
)
def test_the_unit_of_a_meta_image_is_mm(tmp_path: Path, unit: str, *, is_taken: bool) -> None:
    header = f"{META}DistanceUnits = {unit}\nElementDataFile = LOCAL\n"
    path = file_with(tmp_path, ".mha", header, bytes(512))
    if is_taken:
        assert ItkSource(path).grid().spacing_mm == (1, 1, 1)
    else:
        with pytest.raises(InputError, match=f"lengths in {unit}"):
            ItkSource(path).grid()


@pytest.mark.parametrize("units", ['"mm" "mm" "mm"', '"" "" ""', '"Millimeters" "mm" "mm"'])
def test_lengths_in_mm_are_taken(tmp_path: Path, units: str) -> None:
    path = file_with(tmp_path, ".nrrd", f"{NRRD}space units: {units}\n\n", bytes(512))
    assert ItkSource(path).grid().spacing_mm == (1, 1, 1)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_a_nrrd_header_with_its_voxels_in_a_file_beside_it_is_read(
    tmp_path: Path, encoding: str
) -> None:
    voxels = bytes(range(256)) * 2
    (tmp_path / "x.raw").write_bytes(gzip.compress(voxels) if encoding == "gzip" else voxels)
    header = NRRD.replace("raw", encoding) + "data file: x.raw\n"
    array = read_voxels(file_with(tmp_path, ".nhdr", f"{header}\n")).array
    assert array[:3, 1, 0].tolist() == [8, 9, 10]  # the first axis is the fastest
    for place in ("/etc/hosts", "../x.raw", "other/x.raw"):
        path = file_with(tmp_path, ".nhdr", f"{header.replace('x.raw', place)}\n")
        with pytest.raises(InputError, match="voxels in the file itself, or in one file beside"):
            ItkSource(path).grid()


@pytest.mark.parametrize("encoding", ["text", "ascii", "hex", "bzip2", ""])
def test_voxels_that_are_neither_raw_nor_gzip_are_refused(tmp_path: Path, encoding: str) -> None:
    # Bytes that are no text end the process in ITK's reader of text.
    header = NRRD.replace("encoding: raw", f"encoding: {encoding}")
    with pytest.raises(InputError, match="encoding"):
        ItkSource(file_with(tmp_path, ".nrrd", f"{header}\n", b"\xff" * 90_000)).grid()


def test_long_texts_that_harm_nothing_are_taken(tmp_path: Path) -> None:
    texts = f"content: {'x' * 3000}\n# {'x' * 3000}\nSegment0_Tags:={'x' * 3000}\n"
    path = file_with(tmp_path, ".nrrd", f"{NRRD}{texts}\n", bytes(512))
    assert read_voxels(path).array.shape == (8, 8, 8)


def test_directions_with_every_digit_are_taken(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((3, 4, 5), np.uint8))
    turn = sitk.VersorTransform((1, 1e-17, 3e-17), 1e-17).GetMatrix()
    image.SetDirection([float(value) + 1e-17 for value in turn])
    image.SetOrigin((-123.45678901234567, 1e-17 / 3, 98.76543210987654))
    for ending in (".nrrd", ".mha"):
        path = tmp_path / f"x{ending}"
        sitk.WriteImage(image, path)
        assert read_voxels(path).array.shape == (5, 4, 3)


def test_the_reader_goes_by_the_ending_not_by_the_content(tmp_path: Path, secret: Path) -> None:
    path = file_with(tmp_path, ".nrrd", f"{META}ElementDataFile = {secret}\n")
    with pytest.raises(InputError):
        read_voxels(path)


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nrrd"])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64, np.int64])
def test_what_itk_writes_is_read(
    tmp_path: Path, ending: str, packed: bool, dtype: type[np.generic]
) -> None:
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(dtype)
    path = tmp_path / f"x{ending}"
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path), useCompression=packed)
    header = check_itk_file(path)
    assert header.shape == (4, 3, 2)
    assert header.needed_bytes == array.nbytes
    assert bool(header.data_file) == (ending == ".mhd")
    np.testing.assert_array_equal(read_voxels(path).array, array.T)


def test_the_header_of_a_segmentation_is_read(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((2, 2, 2), np.uint8))
    image.SetMetaData("Segment0_Name", "data file: /etc/passwd")
    sitk.WriteImage(image, str(tmp_path / "x.seg.nrrd"))
    assert read_header(tmp_path / "x.seg.nrrd").data_file == ""


def test_keys_that_itk_writes_for_a_nifti_or_dicom_image_are_taken(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    for key in ("0008|0060", "dim[0]", "ITK_FileNotes", "pixdim[1]"):
        image.SetMetaData(key, "1")
    for name in ("x.mha", "x.mhd", "x.nrrd"):
        sitk.WriteImage(image, tmp_path / name)
        assert check_itk_file(tmp_path / name).shape == (5, 4, 3)
        assert read_voxels(tmp_path / name).array.sum() == 1770
