"""A label map as DICOM SEG, read back by dcmqi and checked by dciodvfy."""

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset

from tests.dicom.mr_series import (
    AXIAL,
    FOUR_LABELS,
    ORIENTATIONS,
    Plan,
    label_map_of,
    marks,
    mr_source,
)
from tests.dicom.other_programs import errors_of, itk_labels, itk_series, saved, segments_by_dcmqi
from zeus_app.dicom.segmentation.writing import Authorship, tracking_uid, write_segmentation
from zeus_app.dicom.series import SliceHeader, read_header
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target, shipped_targets
from zeus_app.types import Volume

REAL = Path(os.environ.get("ZEUS_REAL_DATA", ".")) / "prostate" / "ProstateX-0000" / "dicom"
MODEL = Authorship("AUTOMATIC", "hybrid 3")
COARSE = replace(AXIAL, shape=(7, 5, 4), spacing_mm=(2.5, 1.5), series_number=9)


@pytest.fixture
def source(tmp_path: Path) -> DicomSeriesSource:
    return mr_source(tmp_path / "t2")


def segmentation(source: DicomSeriesSource, *others: DicomSeriesSource) -> Dataset:
    return write_segmentation(
        label_map_of(source),
        target=FOUR_LABELS,
        reference=source,
        authorship=MODEL,
        others=others,
    )


def zeros(plan: Plan) -> np.ndarray[tuple[int, ...], np.dtype[np.int_]]:
    return np.zeros(plan.shape, int)


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("step_mm", [3.0, -3.0])
def test_dcmqi_finds_each_voxel_at_its_place(name: str, step_mm: float, tmp_path: Path) -> None:
    plan = replace(AXIAL, orientation=ORIENTATIONS[name], step_mm=step_mm)
    path = saved(segmentation(mr_source(tmp_path / "t2", plan)), tmp_path / "seg.dcm")
    image, labels = itk_series(tmp_path / "t2"), itk_labels(tmp_path / "t2")
    masks = segments_by_dcmqi(path, tmp_path / "dcmqi", image)
    for number, value in enumerate((1, 2, 3, 7), start=1):
        assert np.count_nonzero(labels == value) > 20
        np.testing.assert_array_equal(masks[number], labels == value)


@pytest.mark.parametrize("case", ["one label", "four labels", "empty", "all frames", "series"])
def test_dciodvfy_finds_no_error_that_the_source_has_not(case: str, tmp_path: Path) -> None:
    source = mr_source(tmp_path / "t2")
    labels = label_map_of(source)
    masks = {"one label": labels.array == 1, "empty": np.zeros_like(labels.array)}
    array = masks.get(case, labels.array).astype(np.uint8)
    written = write_segmentation(
        Volume(array, labels.affine_ras),
        target=load_target("brain_tumour") if case == "one label" else FOUR_LABELS,
        reference=source,
        authorship=MODEL,
        others=[mr_source(tmp_path / "flair", COARSE, zeros(COARSE))] if case == "series" else (),
        keep_empty_frames=case == "all frames",
    )
    errors = errors_of(saved(written, tmp_path / "seg.dcm"))
    assert errors - errors_of(source.paths[0]) == set()


@pytest.mark.real
def test_dcmqi_and_dciodvfy_agree_with_the_seg_of_each_real_series(tmp_path: Path) -> None:
    """Seven series of a prostate, three of them sequences; axial, sagittal, coronal and coarse."""
    target = load_target("prostate")
    (study,) = find_studies(REAL, target).studies.values()
    assert len(study.series) == 7
    for number, source in enumerate(study.series.values()):
        assert isinstance(source, DicomSeriesSource)
        x, y, z = source.grid().shape
        mask = np.zeros((x, y, z), np.uint8)
        mask[x // 8 : x // 3, y // 4 : y // 2, 1 : z // 2] = 1
        mask[x // 2, y // 3 :, z // 3 : z - 1] = 1
        others = [other for other in study.sources.values() if other != source]
        written = write_segmentation(
            Volume(mask, source.grid().affine_ras), target=target, reference=source,
            authorship=MODEL, others=cast("list[DicomSeriesSource]", others),
        )  # fmt: skip
        path = saved(written, tmp_path / f"{number}.dcm")
        assert errors_of(path) - errors_of(source.files[0]) == set()
        headers = sorted((read_header(file) for file in source.files), key=place_of)
        image = sitk.ReadImage([str(header.path) for header in headers])
        found = segments_by_dcmqi(path, tmp_path / str(number), image)[1]
        np.testing.assert_array_equal(found, mask.transpose(2, 1, 0) == 1)


def place_of(header: SliceHeader) -> float:
    """The place of a slice along its normal, in mm."""
    normal = np.cross(*np.array(header.orientation_lps).reshape(2, 3))
    return float(normal @ np.array(header.position_lps))


def test_a_distance_of_many_digits_fits_into_a_file(tmp_path: Path) -> None:
    source = mr_source(tmp_path / "t2", replace(AXIAL, step_mm=10 / 3))
    written = segmentation(source)
    (measures,) = written.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert float(measures.SpacingBetweenSlices) == pytest.approx(10 / 3, abs=1e-5)
    assert errors_of(saved(written, tmp_path / "seg.dcm")) == set()


@pytest.mark.parametrize("name", sorted(shipped_targets()))
@pytest.mark.parametrize("made_by", ["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"])
def test_the_codes_of_each_shipped_target_are_valid_in_a_file(
    name: str, made_by: str, source: DicomSeriesSource, tmp_path: Path
) -> None:
    target = load_target(name)
    labels = label_map_of(source)
    array = np.minimum(labels.array, len(target.labels)).astype(np.uint8)
    authorship = Authorship(made_by, creator="Reader^One")  # type: ignore[arg-type]
    written = write_segmentation(
        Volume(array, labels.affine_ras), target=target, reference=source, authorship=authorship
    )
    assert errors_of(saved(written, tmp_path / "seg.dcm")) == set()


def test_the_segments_are_the_labels_of_the_target_in_their_order(
    source: DicomSeriesSource,
) -> None:
    items = segmentation(source).SegmentSequence
    assert [int(item.SegmentNumber) for item in items] == [1, 2, 3, 4]
    assert [item.SegmentLabel for item in items] == ["mark 1", "mark 2", "mark 3", "mark 7"]


def test_a_kidney_is_told_apart_by_the_modifier_of_its_type(source: DicomSeriesSource) -> None:
    written = write_segmentation(
        Volume((label_map_of(source).array == 1).astype(np.uint8), label_map_of(source).affine_ras),
        target=load_target("abdomen"),
        reference=source,
        authorship=MODEL,
    )
    (kind,) = written.SegmentSequence[1].SegmentedPropertyTypeCodeSequence
    (modifier,) = kind.SegmentedPropertyTypeModifierCodeSequence
    assert (kind.CodeValue, modifier.CodeValue) == ("64033007", "24028007")
    assert (kind.CodingSchemeDesignator, modifier.CodeMeaning) == ("SCT", "Right")


def test_a_model_is_named_with_its_version_and_marked_as_a_machine(
    source: DicomSeriesSource,
) -> None:
    written = segmentation(source)
    (algorithm,) = written.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("Zeus", "hybrid 3")
    assert written.SegmentSequence[0].SegmentAlgorithmType == "AUTOMATIC"
    assert written.ContentDescription == "machine-made, not for diagnosis"


def test_a_mask_of_a_person_names_the_person_and_no_algorithm(source: DicomSeriesSource) -> None:
    written = write_segmentation(
        label_map_of(source),
        target=FOUR_LABELS,
        reference=source,
        authorship=Authorship("MANUAL", creator="Reader^One"),
    )
    assert written.ContentCreatorName == "Reader^One"
    assert written.SegmentSequence[0].SegmentAlgorithmType == "MANUAL"
    assert "SegmentAlgorithmName" not in written.SegmentSequence[0]


def test_the_study_the_patient_and_the_frame_of_reference_are_those_of_the_source(
    source: DicomSeriesSource, tmp_path: Path
) -> None:
    written = pydicom.dcmread(saved(segmentation(source), tmp_path / "seg.dcm"))
    image = pydicom.dcmread(source.paths[0])
    names = (
        "StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName", "PatientBirthDate",
        "StudyDate", "AccessionNumber", "StudyDescription",
    )  # fmt: skip
    for name in names:
        assert written[name].value == image[name].value, name


def test_headers_without_the_patient_give_a_valid_file(tmp_path: Path) -> None:
    source = mr_source(tmp_path / "t2")
    for path in source.paths:
        image = pydicom.dcmread(path)
        for name in ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyTime"):
            delattr(image, name)
        image.save_as(path)
    assert errors_of(saved(segmentation(source), tmp_path / "seg.dcm")) == set()


def test_odd_values_of_the_patient_are_copied_and_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = mr_source(tmp_path / "t2")
    for path in source.paths:
        image = pydicom.dcmread(path)
        image.PatientName, image.PatientSex, image.PatientBirthDate = "schmidt", "W", "1950"
        image.save_as(path)
    with caplog.at_level(logging.DEBUG):
        written = segmentation(source)
    assert (written.PatientSex, written.PatientBirthDate) == ("W", "1950")
    assert "schmidt" not in caplog.text


def test_a_source_of_a_private_class_keeps_its_class_in_the_references(tmp_path: Path) -> None:
    source = mr_source(tmp_path / "t2")
    for path in source.paths:
        image = pydicom.dcmread(path)
        image.SOPClassUID = "1.3.46.670589.11.0.0.12.1"
        image.save_as(path)
    written = segmentation(source)
    classes = {item.ReferencedSOPClassUID for item in written.SourceImageSequence}
    assert classes == {"1.3.46.670589.11.0.0.12.1"}
    assert written.PatientName == "Müller^Anna"


def test_series_number_and_description_tell_where_the_mask_comes_from(
    source: DicomSeriesSource,
) -> None:
    written = segmentation(source)
    assert (written.SeriesNumber, written.SeriesDescription) == (460, "Zeus: four marks")


@pytest.mark.parametrize(("number", "expected"), [(0, 9060), (2**31 - 1, 9060), (12, 1260)])
def test_the_series_number_fits_into_a_file(number: int, expected: int, tmp_path: Path) -> None:
    plan = replace(AXIAL, series_number=number)
    assert segmentation(mr_source(tmp_path / "t2", plan)).SeriesNumber == expected


def test_each_file_has_uids_of_its_own_and_the_same_tracking_uids(
    source: DicomSeriesSource,
) -> None:
    one, other = segmentation(source), segmentation(source)
    assert one.SOPInstanceUID != other.SOPInstanceUID
    assert one.SeriesInstanceUID != other.SeriesInstanceUID
    uids = [[item.TrackingUID for item in each.SegmentSequence] for each in (one, other)]
    assert uids[0] == uids[1]
    assert len(set(uids[0])) == 4


def test_the_tracking_uid_of_another_study_is_another() -> None:
    label = FOUR_LABELS.labels[0]
    assert tracking_uid("1.2", FOUR_LABELS, label) != tracking_uid("1.3", FOUR_LABELS, label)


def test_only_frames_with_a_voxel_are_written(source: DicomSeriesSource) -> None:
    labels = marks(AXIAL.shape)
    slices = [np.count_nonzero((labels == value).any(axis=(0, 1))) for value in (1, 2, 3, 7)]
    assert int(segmentation(source).NumberOfFrames) == sum(slices)


def test_empty_frames_are_kept_when_asked_for(source: DicomSeriesSource) -> None:
    written = write_segmentation(
        label_map_of(source),
        target=FOUR_LABELS,
        reference=source,
        authorship=MODEL,
        keep_empty_frames=True,
    )
    assert int(written.NumberOfFrames) == 4 * AXIAL.shape[2]


def test_an_empty_mask_has_all_frames(source: DicomSeriesSource) -> None:
    labels = label_map_of(source)
    written = write_segmentation(
        Volume(np.zeros_like(labels.array), labels.affine_ras),
        target=FOUR_LABELS,
        reference=source,
        authorship=MODEL,
    )
    assert int(written.NumberOfFrames) == 4 * AXIAL.shape[2]
    assert not written.pixel_array.any()


def test_a_value_that_is_no_label_is_refused(source: DicomSeriesSource) -> None:
    labels = label_map_of(source)
    with pytest.raises(InputError, match=r"values \[4\]"):
        write_segmentation(
            Volume(np.where(labels.array, 4, 0).astype(np.uint8), labels.affine_ras),
            target=FOUR_LABELS,
            reference=source,
            authorship=MODEL,
        )


def test_a_label_without_codes_has_a_private_code_of_its_name(source: DicomSeriesSource) -> None:
    written = segmentation(source)
    (kind,) = written.SegmentSequence[0].SegmentedPropertyTypeCodeSequence
    (category,) = written.SegmentSequence[0].SegmentedPropertyCategoryCodeSequence
    (scheme,) = written.CodingSchemeIdentificationSequence
    assert (kind.CodingSchemeDesignator, kind.CodeMeaning) == ("99ZEUS", "mark 1")
    assert (category.CodeValue, scheme.CodingSchemeDesignator) == ("85756007", "99ZEUS")
