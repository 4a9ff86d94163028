"""The pixels of a DICOM series, from paths that ITK can take."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.pixel_data_handlers.util import apply_modality_lut

from tests.studies.tiny_files import dicom_series
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target
from zeus_app.types import FloatArray, StudyFiles, VolumeSource

REAL = Path(os.environ.get("ZEUS_REAL_DATA", ".")) / "prostate" / "ProstateX-0000" / "dicom"


def changed(folder: Path, change: Callable[[Any, int], None]) -> DicomSeriesSource:
    """The series in a folder, after a change of each file."""
    for number, path in enumerate(sorted(folder.iterdir())):
        data = pydicom.dcmread(path)
        change(data, number)
        data.save_as(path)
    return DicomSeriesSource(tuple(sorted(folder.iterdir())))


def by_pydicom(source: DicomSeriesSource) -> FloatArray:
    """Each slice with its own slope and intercept, (columns, rows, slices)."""
    images = [pydicom.dcmread(path) for path in source.paths]
    slices = [apply_modality_lut(image.pixel_array, image).T for image in images]
    stacked: FloatArray = np.stack(slices, axis=-1).astype(np.float32)
    return stacked


@pytest.mark.parametrize(
    "slopes",
    [
        [("1", "0"), ("0.25", "0"), ("2.5", "0")],
        [("1", "0"), ("1", "-1000"), ("1", "70000")],
        [("1", "0"), ("0.001", "0"), ("3.2e-08", "0")],
        [("0.001", "0"), ("100000", "-5"), ("1", "0")],
    ],
)
def test_each_slice_has_its_own_slope_and_intercept(
    tmp_path: Path, slopes: list[tuple[str, str]]
) -> None:
    def rescale(data: Any, number: int) -> None:
        data.RescaleSlope, data.RescaleIntercept = slopes[number]

    source = changed(dicom_series(tmp_path, "t2_tra"), rescale)
    expected = by_pydicom(source)
    assert expected[1, 0, 1] == pytest.approx(101 * float(slopes[1][0]) + float(slopes[1][1]))
    np.testing.assert_allclose(source.load().array, expected, rtol=1e-6)


def test_the_private_scale_of_philips_and_real_world_values_are_not_applied(
    tmp_path: Path,
) -> None:
    def rescale(data: Any, number: int) -> None:
        data.RescaleSlope, data.RescaleIntercept = "2", "1"
        block = data.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x0E, "FL", 0.5)
        block.add_new(0x0D, "FL", 3.0)
        real = pydicom.Dataset()
        real.RealWorldValueSlope, real.RealWorldValueIntercept = 7.0, 5.0
        real.RealWorldValueFirstValueMapped, real.RealWorldValueLastValueMapped = 0, 4095
        data.RealWorldValueMappingSequence = [real]

    source = changed(dicom_series(tmp_path, "t2_tra"), rescale)
    assert source.load().array[1, 0].tolist() == [2 * 1 + 1, 2 * 101 + 1, 2 * 201 + 1]


def test_each_slice_has_its_own_type_of_pixels(tmp_path: Path) -> None:
    def retype(data: Any, number: int) -> None:
        if number == 0:
            data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
            data.PixelData = np.arange(200, 220, dtype=np.uint8).tobytes()
        elif number == 1:
            data.PixelRepresentation = 1
            data.PixelData = np.arange(-30000, -29980, dtype=np.int16).tobytes()
        else:
            data.BitsAllocated, data.BitsStored, data.HighBit = 32, 32, 31
            data.PixelData = np.arange(3_000_000, 3_000_020, dtype=np.uint32).tobytes()

    array = changed(dicom_series(tmp_path, "t2_tra"), retype).load().array
    assert array[1, 0].tolist() == [201, -29999, 3_000_001]


def test_headers_that_state_more_pixels_than_memory_are_refused(tmp_path: Path) -> None:
    def enlarge(data: Any, number: int) -> None:
        data.Rows = data.Columns = 65535
        data.ImagePositionPatient = [0, 0, 3 * number]

    positions = [(0, 0, 3 * k) for k in range(40)]  # 640 GiB; a system may promise them, unused
    source = changed(dicom_series(tmp_path, "t2_tra", positions=positions), enlarge)
    with pytest.raises(InputError, match="cannot be read"):
        source.load()


def test_a_path_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path / os.fsdecode(b"M\xfcller"), "t2_tra")
    source = DicomSeriesSource(tuple(folder.iterdir()))
    assert source.grid().shape == (5, 4, 3)
    with pytest.raises(InputError, match=r"M\\xfcller/00..dcm, a name that is no UTF-8"):
        source.load()


def element_of(path: Path, tag: str) -> str:
    """An element of a file, by SimpleITK."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    text: str = reader.GetMetaData(tag)
    return text.strip()


def by_simpleitk(paths: list[Path]) -> sitk.Image:
    """The volume of some files, in the order of their positions along the normal."""
    axes = np.array(element_of(paths[0], "0020|0037").split("\\"), float)
    normal = np.cross(axes[:3], axes[3:])
    places = {path: np.array(element_of(path, "0020|0032").split("\\"), float) for path in paths}
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(p) for p in sorted(paths, key=lambda path: places[path] @ normal)])
    reader.SetOutputPixelType(sitk.sitkFloat32)
    return reader.Execute()


def examination() -> StudyFiles:
    (study,) = find_studies(REAL, load_target("prostate")).studies.values()
    return study


def assert_as_simpleitk(source: VolumeSource, *, files: Sequence[Path] = ()) -> None:
    """SimpleITK reads the same voxels at the same places, of the source's files or of others."""
    volume = source.load()
    image = by_simpleitk([*(files or source.files)])
    stored = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
    affine_lps = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine_lps[:3, :3] = direction * np.array(image.GetSpacing())
    affine_lps[:3, 3] = image.GetOrigin()
    affine_ras = np.diag([-1.0, -1, 1, 1]) @ affine_lps
    np.testing.assert_allclose(volume.affine_ras, affine_ras, atol=1e-4)
    np.testing.assert_array_equal(volume.array, stored)
    assert source.grid().matches(volume.grid)


@pytest.mark.real
def test_all_series_of_a_real_examination_are_what_simpleitk_reads() -> None:
    study = examination()
    numbers = {source.files[0].parent.name[0] for source in study.series.values()}
    assert (len(study.series), numbers) == (7, set("3456789"))
    for source in study.series.values():
        assert_as_simpleitk(source)


@pytest.mark.real
@pytest.mark.parametrize("b_value", [50, 400, 800])
def test_each_b_value_of_a_real_series_is_what_simpleitk_reads(b_value: int) -> None:
    (folder,) = REAL.glob("6.*")
    paths = [p for p in folder.iterdir() if element_of(p, "0018|0024") == f"*ep_b{b_value}t"]
    assert len(paths) == 19
    parts = [image for image in examination().unused if set(image.files) == set(paths)]
    assert [f"{b_value} s/mm²" in part.reason for part in parts] == [True]
    assert_as_simpleitk(DicomSeriesSource(tuple(paths)))


@pytest.mark.real
def test_a_prostate_target_finds_its_three_sequences_in_a_real_examination() -> None:
    study = examination()
    numbers = {name: source.files[0].parent.name[0] for name, source in study.sources.items()}
    assert numbers == {"T2": "4", "ADC": "7", "HBV": "8"}
    assert all("frame of reference" not in text for text in study.evidence.values())
