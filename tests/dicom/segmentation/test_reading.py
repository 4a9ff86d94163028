"""A DICOM SEG gives the same voxels, whoever wrote it and in whatever order its frames are."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as Concept
from pydicom.uid import RLELossless

from tests.dicom.mr_series import (
    AXIAL,
    FOUR_LABELS,
    ORIENTATIONS,
    REVERSED,
    label_map_of,
    mr_source,
)
from tests.dicom.other_programs import itk_labels, itk_series, saved, segmentation_by_dcmqi
from zeus_app.dicom.segmentation.reading import (
    LABEL_MAP_SEGMENTATION,
    read_origin,
    read_segmentation,
)
from zeus_app.dicom.segmentation.writing import Authorship, write_segmentation
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.targets import load_target
from zeus_app.types import BoolArray

VALUES = (1, 2, 3, 7)


@pytest.fixture
def source(tmp_path: Path) -> DicomSeriesSource:
    return mr_source(tmp_path / "t2")


def by_zeus(source: DicomSeriesSource, *, keep_empty_frames: bool = False) -> Dataset:
    return write_segmentation(
        label_map_of(source), target=FOUR_LABELS, reference=source,
        authorship=Authorship("SEMIAUTOMATIC", "1", creator="Reader^One"),
        keep_empty_frames=keep_empty_frames,
    )  # fmt: skip


def by_highdicom(
    source: DicomSeriesSource, masks: list[BoolArray], *, kind: str = "BINARY", scale: float = 1.0
) -> Dataset:
    """A SEG of masks, which may overlap, as highdicom's manual makes it."""
    images = [pydicom.dcmread(path) for path in source.paths]
    images.sort(key=lambda image: float(image.ImagePositionPatient[2]))
    stacked = np.stack([mask.transpose(2, 1, 0) for mask in masks], axis=-1)
    return hd.seg.Segmentation(
        images, (stacked * scale).astype(np.float32), kind,
        [
            hd.seg.SegmentDescription(
                number, f"mark {value}", codes.SCT.Tissue, codes.SCT.Kidney, "MANUAL"
            )
            for number, value in enumerate(VALUES[: len(masks)], start=1)
        ],
        hd.UID(), 7, hd.UID(), 1, "Maker", "Model", "1", "2",
    )  # fmt: skip


def masks_of(source: DicomSeriesSource) -> list[BoolArray]:
    labels = label_map_of(source).array
    return [labels == value for value in VALUES]


def check(data: Dataset, source: DicomSeriesSource) -> None:
    """The segments are the marks of the source, voxel by voxel."""
    expected = masks_of(source)
    read = read_segmentation(data, source.grid())
    assert [segment.number for segment in read] == [1, 2, 3, 4]
    for segment, mask in zip(read, expected, strict=True):
        np.testing.assert_array_equal(segment.mask, mask)
        assert segment.notes == ()


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("step_mm", [3.0, -3.0])
def test_a_seg_of_zeus_gives_the_same_voxels(name: str, step_mm: float, tmp_path: Path) -> None:
    plan = replace(AXIAL, orientation=ORIENTATIONS[name], step_mm=step_mm)
    source = mr_source(tmp_path / "t2", plan)
    check(pydicom.dcmread(saved(by_zeus(source), tmp_path / "seg.dcm")), source)


def test_kept_empty_frames_change_nothing(source: DicomSeriesSource) -> None:
    check(by_zeus(source, keep_empty_frames=True), source)


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_a_seg_of_dcmqi_gives_the_same_voxels(name: str, kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "t2"
    source = mr_source(folder, replace(AXIAL, orientation=ORIENTATIONS[name]))
    labels = sitk.GetImageFromArray(itk_labels(folder).astype(np.uint8))
    labels.CopyInformation(itk_series(folder))
    names = {value: f"mark {value}" for value in VALUES}
    path = segmentation_by_dcmqi(labels, names, folder, tmp_path / "seg.dcm", kind=kind)
    check(pydicom.dcmread(path), source)


def test_overlapping_segments_of_highdicom_are_read_each(source: DicomSeriesSource) -> None:
    first = label_map_of(source).array > 0
    second = label_map_of(source).array == 2
    read = read_segmentation(by_highdicom(source, [first, second]), source.grid())
    np.testing.assert_array_equal(read[0].mask, first)
    np.testing.assert_array_equal(read[1].mask, second)


def reordered(data: Dataset, order: list[int]) -> Dataset:
    """The frames in another order, with their pixels."""
    pixels = data.pixel_array[order]
    groups = [data.PerFrameFunctionalGroupsSequence[number] for number in order]
    data.PerFrameFunctionalGroupsSequence = groups
    data.NumberOfFrames = len(order)
    bits = np.packbits(pixels.ravel(), bitorder="little").tobytes()
    data.PixelData = bits + b"\0" * (len(bits) % 2)
    return data


def test_frames_are_placed_by_position_and_not_by_order(source: DicomSeriesSource) -> None:
    data = by_zeus(source)
    order = np.random.default_rng(3).permutation(int(data.NumberOfFrames)).tolist()
    check(reordered(data, order), source)


def test_a_frame_that_is_missing_is_empty(source: DicomSeriesSource) -> None:
    data = reordered(by_zeus(source), [1, 2, *range(3, 13)])  # without label 1 on slice 1
    expected = label_map_of(source).array == 1
    assert expected[:, :, 1].any()
    expected[:, :, 1] = False
    np.testing.assert_array_equal(read_segmentation(data, source.grid())[0].mask, expected)


def without_dimensions(data: Dataset) -> None:
    for name in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        delattr(data, name)
    for frame in data.PerFrameFunctionalGroupsSequence:
        del frame.FrameContentSequence


def without_sources(data: Dataset) -> None:
    for name in ("ReferencedSeriesSequence", "SourceImageSequence"):
        delattr(data, name)
    for frame in data.PerFrameFunctionalGroupsSequence:
        del frame.DerivationImageSequence


def with_geometry_in_each_frame(data: Dataset) -> None:
    (shared,) = data.SharedFunctionalGroupsSequence
    for frame in data.PerFrameFunctionalGroupsSequence:
        frame.PlaneOrientationSequence = shared.PlaneOrientationSequence
        frame.PixelMeasuresSequence = shared.PixelMeasuresSequence
    data.SharedFunctionalGroupsSequence = [Dataset()]


def without_spacing_between_slices(data: Dataset) -> None:
    (measures,) = data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    del measures.SpacingBetweenSlices


@pytest.mark.parametrize(
    "change",
    [
        without_dimensions,
        without_sources,
        with_geometry_in_each_frame,
        without_spacing_between_slices,
    ],
)
def test_what_other_viewers_leave_out_is_not_needed(
    change: Callable[[Dataset], None], source: DicomSeriesSource
) -> None:
    data = by_zeus(source)
    change(data)
    check(data, source)


def label_map_seg(source: DicomSeriesSource) -> Dataset:
    """A label map SEG made by hand of a binary one: all slices, the last first."""
    data = by_zeus(source)
    labels = label_map_of(source).array
    numbers = np.zeros_like(labels)
    for number, value in enumerate(VALUES, start=1):
        numbers[labels == value] = number
    data.SOPClassUID, data.SegmentationType = LABEL_MAP_SEGMENTATION, "LABELMAP"
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    positions = [np.array(source.grid().affine_ras @ [0, 0, z, 1])[:3] * [-1, -1, 1]
                 for z in range(labels.shape[2])]  # fmt: skip
    groups = []
    for position in reversed(positions):
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = position.tolist()
        frame.PlanePositionSequence = [place]
        groups.append(frame)
    data.PerFrameFunctionalGroupsSequence = groups
    data.NumberOfFrames = len(groups)
    data.PixelData = np.ascontiguousarray(numbers.transpose(2, 1, 0)[::-1]).tobytes()
    return data


def test_a_label_map_seg_gives_the_same_voxels(source: DicomSeriesSource) -> None:
    check(label_map_seg(source), source)


def test_the_background_of_a_label_map_seg_is_no_segment(source: DicomSeriesSource) -> None:
    data = label_map_seg(source)
    background = deepcopy(data.SegmentSequence[0])
    background.SegmentNumber = 0
    data.SegmentSequence = [background, *data.SegmentSequence]
    check(data, source)


def test_compressed_pixels_are_read(source: DicomSeriesSource) -> None:
    data = label_map_seg(source)
    data.compress(RLELossless)
    check(data, source)


def test_a_fractional_seg_is_cut_at_half_of_its_maximum(source: DicomSeriesSource) -> None:
    masks = masks_of(source)
    for scale, found in ((0.6, True), (0.4, False)):
        data = by_highdicom(source, masks, kind="FRACTIONAL", scale=scale)
        segment = read_segmentation(data, source.grid())[0]
        assert segment.mask.any() == found
        assert segment.notes == ("fractional: cut at half of the maximum",)
    np.testing.assert_array_equal(
        read_segmentation(by_highdicom(source, masks, kind="FRACTIONAL"), source.grid())[0].mask,
        masks[0],
    )


def test_a_fractional_seg_of_zeros_and_ones_is_binary(source: DicomSeriesSource) -> None:
    """As Cornerstone writes compressed masks: the maximum is 255, and no pixel is above 1."""
    masks = masks_of(source)
    data = by_highdicom(source, masks, kind="FRACTIONAL", scale=1 / 255)
    assert (data.MaximumFractionalValue, data.pixel_array.max()) == (255, 1)
    data.compress(RLELossless)
    segment = read_segmentation(data, source.grid())[0]
    np.testing.assert_array_equal(segment.mask, masks[0])
    assert segment.notes == ("fractional with the values 0 and 1 alone: read as binary",)


def test_a_seg_of_another_series_is_resampled_with_a_note(tmp_path: Path) -> None:
    """A coronal mask of cubes, in an axial grid with voxels of half the size."""
    cubes = replace(AXIAL, spacing_mm=(2.0, 2.0), step_mm=2.0, shape=(8, 8, 8))
    coronal = replace(
        cubes, orientation=ORIENTATIONS["coronal"], origin_lps=(-20.0, 31.5, 26.25), step_mm=2.0
    )  # its normal points along +y
    block = np.zeros((8, 8, 8), int)
    block[2:5, 1:4, 3:5] = 1
    drawn = mr_source(tmp_path / "coronal", coronal, block)
    fine = replace(cubes, spacing_mm=(1.0, 1.0), step_mm=1.0, shape=(16, 16, 16))
    grid = mr_source(tmp_path / "axial", fine).grid()
    (segment, *_) = read_segmentation(by_zeus(drawn), grid)
    image = itk_series(tmp_path / "axial")
    wanted = sitk.Resample(
        itk_series(tmp_path / "coronal"), image, sitk.Transform(), sitk.sitkNearestNeighbor
    )
    assert segment.notes == ("resampled from voxels of 2×2×2 mm",)
    found, shown = segment.mask.transpose(2, 1, 0), sitk.GetArrayFromImage(wanted) > 0
    both = np.count_nonzero(found & shown)
    assert 2 * both / (np.count_nonzero(found) + np.count_nonzero(shown)) > 0.75


def test_voxels_outside_the_image_are_counted(tmp_path: Path) -> None:
    larger = mr_source(tmp_path / "larger")
    smaller = replace(AXIAL, shape=(14, 11, 3))  # slices 0 to 2 of label 1, which has 1 to 3
    grid = mr_source(tmp_path / "smaller", smaller).grid()
    (segment, *_) = read_segmentation(by_zeus(larger), grid)
    lost = np.count_nonzero(label_map_of(larger).array[:, :, 3:] == 1)
    assert segment.notes == (f"{lost} voxels lie outside the image",)


def test_a_segment_tells_its_codes_and_its_author(source: DicomSeriesSource) -> None:
    data = write_segmentation(
        label_map_of(mr_source(source.paths[0].parent.parent / "other")),
        target=FOUR_LABELS.model_copy(
            update={
                "labels": tuple(
                    label.model_copy(update={"value": value, "import_values": ()})
                    for label, value in zip(load_target("abdomen").labels, VALUES, strict=True)
                )
            }
        ),
        reference=source,
        authorship=Authorship("SEMIAUTOMATIC", "3"),
    )
    segment = read_segmentation(data, source.grid())[2]
    assert (segment.number, segment.name) == (3, "left kidney")
    assert segment.category == Concept("123037004", "SCT", "")
    assert segment.type == Concept("64033007", "SCT", "")
    assert segment.modifier == Concept("7771000", "SCT", "")
    assert (segment.algorithm_type, segment.algorithm_name) == ("SEMIAUTOMATIC", "Zeus")
    assert segment.tracking_uid == data.SegmentSequence[2].TrackingUID


def test_a_seg_tells_its_study_its_series_and_its_author(source: DicomSeriesSource) -> None:
    data = by_zeus(source)
    origin, image = read_origin(data), pydicom.dcmread(source.paths[0])
    assert origin.study_uid == image.StudyInstanceUID
    assert origin.referenced_series == (image.SeriesInstanceUID,)
    assert len(origin.referenced_images) == 9
    assert (origin.creator, origin.manufacturer) == ("Reader^One", "Zeus")
    assert origin.algorithm_types == ("SEMIAUTOMATIC",)
    assert (origin.sop_uid, origin.series_uid) == (data.SOPInstanceUID, data.SeriesInstanceUID)


def test_only_a_seg_of_zeus_is_recognised_as_one(source: DicomSeriesSource) -> None:
    other = by_highdicom(source, masks_of(source))
    assert read_origin(by_zeus(source)).is_from_zeus
    assert not read_origin(other).is_from_zeus


def lacks_pixels(data: Dataset) -> None:
    del data.PixelData


def has_few_pixels(data: Dataset) -> None:
    data.PixelData = data.PixelData[:4]


def states_a_bomb(data: Dataset) -> None:
    data.NumberOfFrames, data.Rows, data.Columns = 60000, 60000, 60000


def has_no_positions(data: Dataset) -> None:
    for frame in data.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence


def has_no_segments(data: Dataset) -> None:
    data.SegmentSequence = []


def has_few_places(data: Dataset) -> None:
    data.PerFrameFunctionalGroupsSequence = list(data.PerFrameFunctionalGroupsSequence)[:3]


def names_no_segment(data: Dataset) -> None:
    for frame in data.PerFrameFunctionalGroupsSequence:
        del frame.SegmentIdentificationSequence


def is_an_mr(data: Dataset) -> None:
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"


def test_a_segment_without_a_code_is_read(source: DicomSeriesSource) -> None:
    data = by_zeus(source)
    del data.SegmentSequence[0].SegmentedPropertyTypeCodeSequence
    assert read_segmentation(data, source.grid())[0].type is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lacks_pixels, "pixels cannot be decoded"),
        (has_few_pixels, "pixels cannot be decoded"),
        (states_a_bomb, "states 216000000000000 pixels"),
        (has_no_positions, "without a usable ImagePositionPatient"),
        (has_no_segments, "a SEG without segments"),
        (has_few_places, "13 frames and the places of 3"),
        (names_no_segment, "frame 1 names no segment"),
        (is_an_mr, "no SEG"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(
    change: Callable[[Dataset], None], reason: str, source: DicomSeriesSource
) -> None:
    data = by_zeus(source)
    change(data)
    with pytest.raises(InputError, match=reason):
        read_segmentation(data, source.grid())


def test_the_order_of_the_slices_of_the_source_does_not_matter(tmp_path: Path) -> None:
    """One SEG, on the grids of the same slices in the order of either direction."""
    up = mr_source(tmp_path / "up")
    down = mr_source(tmp_path / "down", replace(REVERSED, origin_lps=(-20.0, 31.5, 36.25)))
    masks = [read_segmentation(by_zeus(up), each.grid())[0].mask for each in (up, down)]
    np.testing.assert_array_equal(masks[0], masks[1])
