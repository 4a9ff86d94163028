import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from tests.studies.tiny_files import dicom_series, reasons
from zeus_app.dicom.series import is_dicom, read_header
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target

PROSTATE = load_target("prostate")

# Rows along (0, 0.8, -0.6), columns along x: the slices' normal is (0, 0.6, 0.8).
OBLIQUE = (1.0, 0.0, 0.0, 0.0, 0.8, -0.6)
ALONG_NORMAL = [(10.0, 20 + 0.6 * 5 * k, -30 + 0.8 * 5 * k) for k in range(4)]


def source(folder: Path) -> DicomSeriesSource:
    return DicomSeriesSource(tuple(sorted(folder.iterdir())))


def test_an_oblique_series_lies_where_its_headers_say(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", orientation=OBLIQUE, positions=ALONG_NORMAL)
    affine = source(folder).load().affine_ras
    # Columns are 1.5 mm apart along x, rows 2 mm along (0, 0.8, -0.6), slices 5 mm along the
    # normal; LPS -> RAS turns the signs of x and y.
    by_hand: list[list[float]] = [
        [-1.5, 0, 0, -10], [0, -1.6, -3, -20], [0, -1.2, 4, -30], [0, 0, 0, 1]
    ]  # fmt: skip
    np.testing.assert_allclose(affine, by_hand, atol=1e-5)


def test_slices_are_sorted_by_position_whatever_the_files_are_called(tmp_path: Path) -> None:
    shuffled = [ALONG_NORMAL[k] for k in (2, 0, 3, 1)]
    folder = dicom_series(tmp_path, "t2", orientation=OBLIQUE, positions=shuffled)
    volume = source(folder).load()
    # Image n holds 100 n at its first pixel; positions 0, 1, 2, 3 are images 1, 3, 0, 2.
    assert volume.array[0, 0].tolist() == [100, 300, 0, 200]
    assert volume.array[3, 2, 0] == 123  # column 3, row 2 of image 1
    np.testing.assert_allclose(volume.affine_ras[:3, 3], [-10, -20, -30], atol=1e-5)


def test_a_series_lies_where_simpleitk_puts_it(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", orientation=OBLIQUE, positions=ALONG_NORMAL[::-1])
    volume = source(folder).load()
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    for voxel in [(0, 0, 0), (4, 3, 2), (1, 2, 3)]:
        ras = volume.affine_ras @ [*voxel, 1]
        lps = (-ras[0], -ras[1], ras[2])
        assert volume.array[voxel] == image[image.TransformPhysicalPointToIndex(lps)]


def test_rescale_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", RescaleSlope=2.0, RescaleIntercept=-5.0)
    assert source(folder).load().array[1, 0, 0] == 2 * 1 - 5


def test_a_single_slice_is_as_thick_as_its_header_says(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", positions=[(0, 0, 0)])
    volume = source(folder).load()
    assert volume.array.shape == (5, 4, 1)
    assert volume.grid.spacing_mm == pytest.approx((1.5, 2.0, 3.0))


def test_a_missing_slice_is_refused(tmp_path: Path) -> None:
    positions = [(0, 0, 0), (0, 0, 3), (0, 0, 9), (0, 0, 12)]
    folder = dicom_series(tmp_path, "t2", positions=positions)
    with pytest.raises(InputError, match=r"are 6.00 mm apart.* a slice is missing"):
        source(folder).load()


def test_two_images_at_one_place_are_refused(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "dwi", b_values=(0, 800))
    with pytest.raises(InputError, match="6 images at 3 positions"):
        source(folder).load()


def test_multi_frame_files_are_refused_with_a_way_out(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", positions=[(0, 0, 0)], NumberOfFrames=20)
    with pytest.raises(InputError, match="dcm2niix"):
        source(folder).load()


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize(
    "names", [("1", "2", "3"), ("a.MR", "b.MR", "c.mr"), ("a.img", "b.IMG", "1.2.840.9")]
)
def test_a_data_set_without_preamble_is_read_whatever_its_name(
    tmp_path: Path, names: tuple[str, ...], *, implicit: bool
) -> None:
    folder = without_preamble(
        dicom_series(tmp_path / "p", "t2_tra", names=names), implicit=implicit
    )
    assert all(is_dicom(path) for path in folder.iterdir())
    np.testing.assert_array_equal(source(folder).load().array[0, 0], [0, 100, 200])


def without_preamble(folder: Path, *, implicit: bool) -> Path:
    """The files of a series as old scanners export them: the data set alone."""
    for path in folder.iterdir():
        written = DicomBytesIO()
        written.is_little_endian, written.is_implicit_VR = True, implicit
        bare = pydicom.Dataset()
        for element in pydicom.dcmread(path):
            bare.add(element)
        write_dataset(written, bare)
        path.write_bytes(written.getvalue())
    return folder


@pytest.mark.parametrize("name", ["a.MR", "a.img", "a.dic", "a", "1.2.3", "a.txt"])
def test_a_file_is_dicom_by_its_content(tmp_path: Path, name: str) -> None:
    path = dicom_series(tmp_path, "t2_tra", names=(name,), positions=[(0, 0, 0)]) / name
    assert is_dicom(path)
    path.write_bytes(b"x" * 400)
    assert not is_dicom(path)


def test_files_that_are_no_dicom_or_no_images_are_not_taken(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", positions=[(0, 0, 0)])
    for name in ("DICOMDIR", "dicomdir", "DICOMDIR.dcm", "._a.dcm", "t2.nii.gz", "t2.mha"):
        (folder / name).write_bytes((folder / "000.dcm").read_bytes())
        assert not is_dicom(folder / name)
    assert not is_dicom(folder / "gone")
    nibabel.save(nibabel.Nifti1Pair(np.zeros((4, 4, 3), np.int16), None), folder / "pair.hdr")
    for name in ("pair.hdr", "pair.img"):
        assert not is_dicom(folder / name)


def test_the_same_image_twice_counts_once(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path / "p", "t2_tra")
    once = source(folder).load()
    shutil.copytree(folder, tmp_path / "copy")
    shutil.copy(folder / "001.dcm", folder / "001 (copy).dcm")
    again = DicomSeriesSource((*(tmp_path / "copy").iterdir(), *folder.iterdir())).load()
    np.testing.assert_array_equal(again.array, once.array)
    np.testing.assert_array_equal(again.affine_ras, once.affine_ras)


def test_different_images_with_one_uid_are_no_copies(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "dwi", b_values=(0, 800), SOPInstanceUID="1.2.3.4")
    with pytest.raises(InputError, match="6 images at 3 positions"):
        source(folder).load()
    assert source(dicom_series(tmp_path / "q", "t2", SOPInstanceUID="1.2")).grid().shape[2] == 3


def test_images_without_uid_are_no_copies(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", SOPInstanceUID="")
    shutil.copy(folder / "001.dcm", folder / "again.dcm")
    with pytest.raises(InputError, match="4 images at 3 positions"):
        source(folder).load()


@pytest.mark.parametrize(
    "elements",
    [{"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]}, {"of_siemens": 6}],
)
def test_a_mosaic_is_refused_with_a_way_out(tmp_path: Path, elements: dict[str, Any]) -> None:
    slices = elements.pop("of_siemens", None)
    folder = dicom_series(tmp_path, "ep2d_diff", positions=[(0, 0, 0)], **elements)
    if slices:
        data = pydicom.dcmread(folder / "000.dcm")
        data.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", slices)
        data.save_as(folder / "000.dcm")
    with pytest.raises(InputError, match=r"a Siemens mosaic.*dcm2niix"):
        source(folder).grid()


def test_the_same_private_element_of_another_vendor_is_no_mosaic(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", positions=[(0, 0, 0)])
    data = pydicom.dcmread(folder / "000.dcm")
    data.private_block(0x0019, "GEMS_ACQU_01", create=True).add_new(0x0A, "US", 6)
    data.save_as(folder / "000.dcm")
    assert source(folder).grid().shape == (5, 4, 1)


@pytest.mark.parametrize("photometric", ["RGB", "PALETTE COLOR", "YBR_FULL"])
def test_colours_are_refused_by_their_header(tmp_path: Path, photometric: str) -> None:
    folder = dicom_series(tmp_path, "t2", PhotometricInterpretation=photometric)
    with pytest.raises(InputError, match="colour pixels"):
        source(folder).grid()


@pytest.mark.parametrize("shift_mm", [0.4, -20])
def test_a_slice_that_is_shifted_sideways_is_refused(tmp_path: Path, shift_mm: float) -> None:
    positions = [(0, 0, 0), (0, shift_mm, 3), (0, 0, 6), (0, 0, 9)]
    folder = dicom_series(tmp_path, "t2", positions=positions)
    with pytest.raises(InputError, match=r"slice 1 is shifted sideways"):
        source(folder).grid()


def test_slices_on_a_curve_are_refused(tmp_path: Path) -> None:
    positions = [(k * (5 - k), 0, 3 * k) for k in range(6)]
    with pytest.raises(InputError, match=r"shifted sideways by 6\.00 mm"):
        source(dicom_series(tmp_path, "t2", positions=positions)).grid()


def test_rounded_positions_are_taken(tmp_path: Path) -> None:
    positions = [(0.01 * (k % 2), 0, 3 * k) for k in range(6)]
    assert source(dicom_series(tmp_path, "t2", positions=positions)).grid().shape == (5, 4, 6)


def test_every_slice_of_a_regular_shear_lies_where_its_header_says(tmp_path: Path) -> None:
    positions = [(2.0 * k, 0, 3 * k) for k in range(6)]
    folder = dicom_series(tmp_path / "p", "t2_tra", positions=positions)
    grid = source(folder).grid()
    for k, (x, y, z) in enumerate(positions):
        np.testing.assert_allclose(grid.affine_ras @ [0, 0, k, 1], [-x, -y, z, 1], atol=1e-5)
    # Clients cannot show it, so it is no reference.
    assert "not at right angles" in reasons(find_studies(tmp_path, PROSTATE))["p"]


@pytest.mark.parametrize(
    "elements",
    [
        {"PixelSpacing": [0, 1.5]},
        {"PixelSpacing": [float("nan"), 1.5]},
        {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
        {"ImagePositionPatient": [float("nan"), 0, 0]},
    ],
)
def test_a_place_that_is_none_is_refused(tmp_path: Path, elements: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        source(dicom_series(tmp_path, "t2", positions=[(0, 0, 0)], **elements)).grid()


def test_an_image_type_of_one_word_is_one_word(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", image_type=["DERIVED"])
    assert read_header(folder / "000.dcm").image_type == ("DERIVED",)


def test_images_without_a_place_are_refused(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", ImagePositionPatient=None)
    with pytest.raises(InputError, match="without position"):
        source(folder).load()


def test_a_truncated_dicom_file_is_refused(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2")
    last = folder / "002.dcm"
    last.write_bytes(last.read_bytes()[:-20])
    with pytest.raises(InputError, match="cannot be read"):
        source(folder).load()


def test_a_damaged_element_is_refused_without_its_value(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    folder = dicom_series(tmp_path, "t2_tra", PatientID="P0815 " * 20)
    path = folder / "000.dcm"
    damaged = path.read_bytes().replace(b"DS\x04\x003.0 ", b"DS\x04\x00Roe ")
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"its header is damaged \(\w+\)") as refused:
        read_header(path)
    said = f"{refused.value}{caplog.text}{[str(warning.message) for warning in recwarn]}"
    assert "Roe" not in said
    assert "P0815" not in said
