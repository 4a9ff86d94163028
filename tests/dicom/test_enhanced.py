"""Each frame of an enhanced MR file is a slice, with the elements of its functional groups."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from tests.dicom.enhanced_files import Frame, enhanced_mr
from tests.studies.tiny_files import SAGITTAL, dicom_series, reasons, sequences
from zeus_app.dicom.series import headers_of, read_header, read_headers
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target

REAL = Path(os.environ.get("ZEUS_REAL_DATA", "."))
PROSTATE = load_target("prostate")
BRAIN = load_target("brain_tumour")
OBLIQUE = (1.0, 0.0, 0.0, 0.0, 0.8, -0.6)
ALONG_NORMAL = [Frame((10.0, 20 + 3.0 * k, -30 + 4.0 * k), OBLIQUE) for k in range(4)]
AXIAL_FRAMES = [Frame((0, 0, 3 * k)) for k in range(3)]


def loaded(*paths: Path) -> Any:
    return DicomSeriesSource(paths).load()


@pytest.mark.parametrize("is_shared", [True, False])
def test_frames_lie_where_their_functional_groups_say(tmp_path: Path, *, is_shared: bool) -> None:
    volume = loaded(enhanced_mr(tmp_path / "a.dcm", ALONG_NORMAL, is_shared=is_shared))
    by_hand: list[list[float]] = [
        [-1.5, 0, 0, -10], [0, -1.6, -3, -20], [0, -1.2, 4, -30], [0, 0, 0, 1]
    ]  # fmt: skip
    np.testing.assert_allclose(volume.affine_ras, by_hand, atol=1e-5)
    assert volume.array[3, 2].tolist() == [23, 123, 223, 323]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0)])
def test_an_enhanced_file_is_the_volume_that_simpleitk_reads(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    frames = [replace(ALONG_NORMAL[k], scale=(0.5, -3.0)) for k in order]
    volume = loaded(enhanced_mr(tmp_path / "a.dcm", frames, is_shared=True))
    image = sitk.ReadImage(str(tmp_path / "a.dcm"))
    for voxel in [(0, 0, 0), (4, 3, 2), (1, 2, 3)]:
        ras = volume.affine_ras @ [*voxel, 1]
        at = image.TransformPhysicalPointToIndex((-ras[0], -ras[1], ras[2]))
        assert volume.array[voxel] == image[at]


def test_frames_are_sorted_by_position(tmp_path: Path) -> None:
    frames = [ALONG_NORMAL[k] for k in (2, 0, 3, 1)]
    volume = loaded(enhanced_mr(tmp_path / "a.dcm", frames))
    assert volume.array[0, 0].tolist() == [100, 300, 0, 200]


def test_each_frame_has_its_own_slope_and_intercept(tmp_path: Path) -> None:
    scales = [(1.0, 0.0), (0.25, -7.0), (3.0, 70000.0)]
    frames = [Frame((0, 0, 3 * k), scale=scale) for k, scale in enumerate(scales)]
    volume = loaded(enhanced_mr(tmp_path / "a.dcm", frames))
    assert volume.array[1, 0].tolist() == [1, 0.25 * 101 - 7, 3 * 201 + 70000]


def test_compressed_frames_are_read(tmp_path: Path) -> None:
    volume = loaded(enhanced_mr(tmp_path / "a.dcm", ALONG_NORMAL, is_rle=True))
    assert volume.array[3, 2].tolist() == [23, 123, 223, 323]


def test_several_files_of_frames_are_one_volume(tmp_path: Path) -> None:
    first = enhanced_mr(tmp_path / "a.dcm", ALONG_NORMAL[2:])
    second = enhanced_mr(tmp_path / "b.dcm", ALONG_NORMAL[:2])
    assert loaded(first, second).array[0, 0].tolist() == [0, 100, 0, 100]
    assert loaded(first, second).array.shape == (5, 4, 4)


def test_the_elements_of_a_frame_are_those_of_a_slice(tmp_path: Path) -> None:
    agent = pydicom.Dataset()
    agent.CodeMeaning = "Gadobutrol"
    frame = Frame((0, 0, 3), b_value=800, echo_ms=90, component="PHASE", time_point=2)
    path = enhanced_mr(tmp_path / "a.dcm", [Frame((0, 0, 0)), frame], is_shared=True,
                       ContrastBolusAgentSequence=[agent])  # fmt: skip
    first, second = read_headers(path)
    assert (first.b_value, first.echo, first.image_type[-1]) == (None, (0, 0.0), "NONE")
    assert (second.b_value, second.echo, second.image_type[-1]) == (800, (0, 90.0), "PHASE")
    assert (second.frame, second.frames, second.time_point) == (1, 2, "2")
    assert (second.contrast_agent, second.spacing_mm) == ("Gadobutrol", (2.0, 1.5))


def test_the_headers_of_frames_may_come_as_json(tmp_path: Path) -> None:
    path = enhanced_mr(tmp_path / "a.dcm", ALONG_NORMAL)
    metadata = pydicom.dcmread(path, stop_before_pixels=True).to_json_dict()
    assert headers_of(pydicom.Dataset.from_json(metadata), path) == read_headers(path)


def test_the_header_of_the_file_counts_its_frames(tmp_path: Path) -> None:
    header = read_header(enhanced_mr(tmp_path / "a.dcm", ALONG_NORMAL))
    assert (header.frames, header.frame, header.shape) == (4, None, (4, 5))


def test_an_enhanced_series_is_a_sequence_of_its_study(tmp_path: Path) -> None:
    enhanced_mr(tmp_path / "p" / "t2" / "1", AXIAL_FRAMES)
    adc = [Frame((0, 0, 3 * k), frame_type=("DERIVED", "PRIMARY", "DIFFUSION", "ADC"))
           for k in range(3)]  # fmt: skip
    enhanced_mr(tmp_path / "p" / "adc" / "1", adc, "ep2d_diff")
    study = find_studies(tmp_path, PROSTATE).studies["p"]
    assert set(study.sources) == {"T2", "ADC"}
    assert study.evidence["T2"] == "'4 t2_tse_tra' (3 images, axial): t2"


def test_b_values_of_one_file_are_images_of_their_own(tmp_path: Path) -> None:
    frames = [Frame((0, 0, 3 * k), b_value=b) for k in range(3) for b in (50, 1400, 800)]
    enhanced_mr(tmp_path / "p" / "1.dcm", frames, "ep2d_diff")
    study = find_studies(tmp_path, PROSTATE).studies["p"]
    assert "b-value 1400 s/mm²" in study.evidence["HBV"]
    # Frame n holds 100 n at its first pixel; frames 1, 4 and 7 have the b-value 1400.
    assert study.sources["HBV"].load().array[0, 0].tolist() == [100, 400, 700]
    assert list(study.series.values()) == [study.sources["HBV"]]
    name = "'4 ep2d_diff' (3 images, axial, b-value"
    assert [unused.reason for unused in study.unused] == [
        f"{name} 1400 s/mm²) is used for HBV; this one: its b-value is 800 s/mm²",
        f"{name} 50 s/mm²) shows DWI (ep2d_diff), no sequence of the target",
    ]


def test_stacks_of_one_file_are_images_of_their_own(tmp_path: Path) -> None:
    axial = [Frame((0, 0, 3 * k)) for k in range(3)]
    sagittal = [Frame((4 * k, 0, 0), SAGITTAL, stack="2") for k in range(2)]
    enhanced_mr(tmp_path / "p" / "1.dcm", axial + sagittal, "t2")
    study = find_studies(tmp_path, PROSTATE).studies["p"]
    assert study.evidence == {"T2": "'4 t2' (3 images, axial, stack 1): t2"}
    assert study.sources["T2"].load().array.shape == (5, 4, 3)
    assert [unused.reason for unused in study.unused] == [
        "'4 t2' (3 images, axial, stack 1) is used for T2; this one: not axial"
    ]


def test_echoes_of_one_file_are_images_of_their_own(tmp_path: Path) -> None:
    frames = [Frame((0, 0, 3 * k), echo_ms=echo) for k in range(3) for echo in (12, 90)]
    enhanced_mr(tmp_path / "p" / "1.dcm", frames, "PD T2 TSE")
    study = find_studies(tmp_path, BRAIN).studies["p"]
    assert study.sources["T2"].load().array[0, 0].tolist() == [100, 300, 500]


def test_phase_images_in_the_file_are_listed_and_not_used(tmp_path: Path) -> None:
    frames = [Frame((0, 0, 3 * k), component=component)
              for component in ("MAGNITUDE", "PHASE") for k in range(3)]  # fmt: skip
    enhanced_mr(tmp_path / "p" / "1.dcm", frames, "t2")
    study = find_studies(tmp_path, PROSTATE).studies["p"]
    assert study.sources["T2"].load().array[0, 0].tolist() == [0, 100, 200]
    assert "is a phase image (PHASE)" in study.unused[0].reason


def test_time_points_of_one_file_are_refused_by_name(tmp_path: Path) -> None:
    frames = [Frame((0, 0, 3 * k), time_point=time) for time in (1, 2) for k in range(3)]
    enhanced_mr(tmp_path / "p" / "1.dcm", frames, "t2")
    reason = reasons(find_studies(tmp_path, PROSTATE))["p"]
    assert "6 images at 3 positions: a time series (dynamic) of 2 time points" in reason


def test_an_enhanced_file_and_single_images_are_one_study(tmp_path: Path) -> None:
    enhanced_mr(tmp_path / "p" / "1.dcm", AXIAL_FRAMES)
    dicom_series(tmp_path / "p" / "adc", "ADC", image_type=("DERIVED", "PRIMARY", "ADC"))
    assert sequences(find_studies(tmp_path, PROSTATE)) == {"p": {"T2", "ADC"}}


def test_a_file_without_a_group_for_each_frame_is_refused(tmp_path: Path) -> None:
    path = enhanced_mr(tmp_path / "a.dcm", ALONG_NORMAL)
    data = pydicom.dcmread(path)
    del data.PerFrameFunctionalGroupsSequence[-1]
    data.save_as(path)
    with pytest.raises(InputError, match="its header is damaged"):
        read_headers(path)


def test_frames_without_a_position_are_refused(tmp_path: Path) -> None:
    path = enhanced_mr(tmp_path / "a.dcm", ALONG_NORMAL)
    data = pydicom.dcmread(path)
    del data.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence
    data.save_as(path)
    with pytest.raises(InputError, match="without position"):
        loaded(path)


def test_frames_that_are_gone_are_told(tmp_path: Path) -> None:
    path = enhanced_mr(tmp_path / "a.dcm", ALONG_NORMAL)
    source = DicomSeriesSource((path,), frames=((path, 7),))
    with pytest.raises(InputError, match="no longer holds the frames"):
        source.load()


def converted(series: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ...]:
    """A real series as one enhanced file, by highdicom. Returns the files of the series."""
    (folder,) = (REAL / "prostate" / "ProstateX-0000" / "dicom").glob(f"{series}.*")
    files = tuple(sorted(folder.iterdir()))
    monkeypatch.setattr(pydicom.config, "datetime_conversion", True)  # highdicom wants dates
    images = [pydicom.dcmread(file) for file in files]
    made = highdicom.legacy.LegacyConvertedEnhancedMRImage(
        images, series_instance_uid="1.2.7", series_number=1, sop_instance_uid="1.2.8",
        instance_number=1,
    )  # fmt: skip
    path.parent.mkdir()
    made.save_as(path)
    return files


@pytest.mark.real
@pytest.mark.parametrize("series", ["3", "4", "5", "7", "8", "9"])
@pytest.mark.filterwarnings("ignore")
def test_a_real_series_that_highdicom_converted_is_the_same_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, series: str
) -> None:
    path = tmp_path / "p" / "1.dcm"
    files = converted(series, path, monkeypatch)
    volume, original = loaded(path), loaded(*files)
    np.testing.assert_array_equal(volume.array, original.array)
    np.testing.assert_allclose(volume.affine_ras, original.affine_ras, atol=1e-6)


@pytest.mark.real
@pytest.mark.filterwarnings("ignore")
def test_b_values_of_a_real_series_that_highdicom_converted_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted("6", tmp_path / "p" / "1.dcm", monkeypatch)
    study = find_studies(tmp_path, PROSTATE).studies["p"]
    assert "(19 images, axial, b-value 800 s/mm²)" in study.evidence["HBV"]
    assert study.sources["HBV"].load().array.shape == (84, 128, 19)
