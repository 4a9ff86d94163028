"""Slices of a series become one grid, or are refused with the reason."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from tests.studies.tiny_files import SAGITTAL, dicom_series, reasons
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target

PROSTATE = load_target("prostate")

# Rows along (0, 0.8, -0.6), columns along x: the slices' normal is (0, 0.6, 0.8).
OBLIQUE = (1.0, 0.0, 0.0, 0.0, 0.8, -0.6)
ALONG_NORMAL = [(10.0, 20 + 0.6 * 5 * k, -30 + 0.8 * 5 * k) for k in range(4)]
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


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


def test_images_without_a_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without Rows and Columns"):
        source(dicom_series(tmp_path, "t2", Rows=0)).grid()


def test_images_without_a_place_are_refused(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", ImagePositionPatient=None)
    with pytest.raises(InputError, match="without position"):
        source(folder).load()


@pytest.mark.parametrize("is_reversed", [True, False])
@pytest.mark.parametrize(
    ("orientation", "step"),
    [
        ((1.0, 0, 0, 0, 1, 0), (0, 0, 3.0)),
        (SAGITTAL, (3.0, 0, 0)),
        (CORONAL, (0, 3.0, 0)),
        (OBLIQUE, (0, 1.8, 2.4)),
        ((-1.0, 0, 0, 0, -1, 0), (0, 0, 3.0)),
    ],
    ids=["axial", "sagittal", "coronal", "oblique", "turned"],
)
def test_every_voxel_lies_where_simpleitk_puts_it(
    tmp_path: Path, orientation: Sequence[float], step: Sequence[float], *, is_reversed: bool
) -> None:
    positions = [tuple(7.5 + k * edge for edge in step) for k in range(3)]
    # Pixels are not square: 3.25 mm between rows, 0.5 mm between columns.
    folder = dicom_series(
        tmp_path, "t2", orientation=orientation, positions=positions[:: -1 if is_reversed else 1],
        PixelSpacing=[3.25, 0.5],
    )  # fmt: skip
    volume = source(folder).load()
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    for voxel in np.ndindex(*volume.array.shape):
        ras = volume.affine_ras @ [*voxel, 1]
        index = image.TransformPhysicalPointToContinuousIndex((-ras[0], -ras[1], ras[2]))
        np.testing.assert_allclose(index, np.round(index), atol=1e-4)
        assert volume.array[voxel] == image[tuple(int(n) for n in np.round(index))]


def test_b_values_at_one_place_are_named(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "dwi", b_values=(0, 800))
    with pytest.raises(InputError, match=r"of the b-values 0, 800 s/mm².*a folder or a series"):
        source(folder).load()


def test_echoes_at_one_place_are_named(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", EchoTime=12.0)
    dicom_series(folder, "t2", EchoTime=90.0, names=("a", "b", "c"))
    with pytest.raises(InputError, match="6 images at 3 positions, of the echo times 12, 90 ms"):
        source(folder).load()


@pytest.mark.parametrize("element", ["TemporalPositionIdentifier", "AcquisitionNumber"])
def test_a_time_series_is_refused_with_a_way_out(tmp_path: Path, element: str) -> None:
    first: dict[str, Any] = {element: 1}
    second: dict[str, Any] = {element: 2}
    folder = dicom_series(tmp_path, "t1_vibe_dyn", **first)
    dicom_series(folder, "t1_vibe_dyn", names=("a", "b", "c"), **second)
    with pytest.raises(
        InputError, match=r"a time series \(dynamic\) of 2 time points.*export one time point"
    ):
        source(folder).load()


def test_several_frames_of_reference_in_one_series_are_refused(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", FrameOfReferenceUID="1.2.3")
    dicom_series(folder, "t2", names=("x",), positions=[(0, 0, 9)], FrameOfReferenceUID="1.2.4")
    with pytest.raises(InputError, match="images of 2 frames of reference in one series"):
        source(folder).grid()


def test_images_that_name_no_frame_of_reference_are_no_problem(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2", FrameOfReferenceUID="1.2.3")
    dicom_series(folder, "t2", names=("x",), positions=[(0, 0, 9)])
    assert source(folder).grid().shape == (5, 4, 4)
