"""The SEG and SR of a mask: whose voxels, whose texts, and what they refer to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.dicom.other_programs import errors_of, itk_series, segments_by_dcmqi
from tests.server.results.dicom_study import (
    CYST,
    FLAIR,
    LESION,
    STUDY_UID,
    T2,
    VOXEL_ML,
    DicomServer,
    labels,
)
from zeus_app.errors import InputError
from zeus_app.types import LPS_TO_RAS, Instruction

BOTH = labels(LESION, CYST)
LESION_VOXELS, CYST_VOXELS = 35, 37  # 5·2·3 + 5, and 3·3·4 + 1


@pytest.fixture
def server(tmp_path: Path) -> DicomServer:
    return DicomServer(tmp_path)


def items_of(data: Dataset) -> Iterator[Dataset]:
    """All content items of a report."""
    for item in data.get("ContentSequence") or ():
        yield item
        yield from items_of(item)


def name_of(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def numbers(report: Dataset, name: str) -> list[float]:
    """The values of a measurement, of the lesion and then of the cyst."""
    return [
        float(item.MeasuredValueSequence[0].NumericValue)
        for item in items_of(report)
        if item.ValueType == "NUM" and name_of(item) == name
    ]


def texts(report: Dataset) -> dict[str, str]:
    """Text -> the name of its item."""
    return {
        str(item.TextValue): name_of(item)
        for item in items_of(report)
        if item.ValueType == "TEXT" and "nstruction" in name_of(item)
    }


def series_uid(folder: Path) -> str:
    return str(pydicom.dcmread(next(folder.iterdir())).SeriesInstanceUID)


def files_of(server: DicomServer) -> list[Path]:
    listed = server.results.listed(server.study)["results"]
    return [server.results.file(server.study, one["sop_uid"]) for one in listed]


def test_dcmqi_reads_the_voxels_of_the_submitted_label(server: DicomServer, tmp_path: Path) -> None:
    server.submit(BOTH)
    server.objects()
    image = itk_series(tmp_path / "studies" / "anna" / "t2")
    masks = segments_by_dcmqi(files_of(server)[0], tmp_path / "dcmqi", image)
    assert T2.step_mm > 0  # ITK has the slices in the same order
    for value in (LESION, CYST):
        np.testing.assert_array_equal(masks[value], np.equal(BOTH.T, value))


@pytest.mark.parametrize("values", [(LESION, CYST), (LESION,), ()], ids=["both", "one", "none"])
def test_dciodvfy_finds_no_error(server: DicomServer, values: tuple[int, ...]) -> None:
    text = Instruction("T2", "lesion", None, "bright", "llm")
    server.predict(labels(*values), texts=[text])
    server.objects()
    server.submit(labels(*values), user="Dr. Müller^Anna", instructions={"lesion": "tief"})
    server.objects()
    files = files_of(server)
    assert len(files) == 4
    assert [errors_of(path) for path in files] == [set()] * 4


def test_an_empty_label_is_a_result_with_volumes_of_zero(server: DicomServer) -> None:
    server.submit(labels())
    segmentation, report = server.objects()
    assert segmentation.pixel_array.sum() == 0
    assert [s.SegmentLabel for s in segmentation.SegmentSequence] == ["lesion", "cyst"]
    assert numbers(report, "Volume") == [0, 0]


def test_the_report_has_volumes_and_the_change_since_the_version_before(
    server: DicomServer,
) -> None:
    server.submit(BOTH)
    _, first = server.objects()
    assert numbers(first, "Volume") == pytest.approx(
        [LESION_VOXELS * VOXEL_ML, CYST_VOXELS * VOXEL_ML], abs=1e-3
    )
    assert numbers(first, "Dice Similarity Coefficient") == []
    smaller = BOTH.copy()
    smaller[1:2, 4:9, 1] = 0  # 5 voxels of the lesion
    server.submit(smaller)
    _, second = server.objects()
    dice = numbers(second, "Dice Similarity Coefficient")
    assert dice == pytest.approx([2 * 30 / (35 + 30), 1.0], abs=1e-4)


def test_a_prediction_is_compared_with_that_of_the_checkpoint_before(server: DicomServer) -> None:
    server.predict(labels(LESION), checkpoint="v0001")
    server.predict(BOTH, checkpoint="v0002")
    _, report = server.objects("original")
    assert numbers(report, "Dice Similarity Coefficient") == [1.0, 0.0]


def test_the_reports_groups_refer_to_the_segments_of_the_seg(server: DicomServer) -> None:
    server.submit(BOTH)
    segmentation, report = server.objects()
    segments = [
        item.ReferencedSOPSequence[0]
        for item in items_of(report)
        if item.ValueType == "IMAGE" and "ReferencedSegmentNumber" in item.ReferencedSOPSequence[0]
    ]
    assert {s.ReferencedSOPInstanceUID for s in segments} == {segmentation.SOPInstanceUID}
    assert [s.ReferencedSegmentNumber for s in segments] == [1, 2]
    assert report.StudyInstanceUID == segmentation.StudyInstanceUID == STUDY_UID


def test_a_label_has_one_tracking_uid_in_all_versions_and_both_objects(
    server: DicomServer,
) -> None:
    uids: list[Any] = []
    for label in (BOTH, labels(LESION)):
        server.submit(label)
        segmentation, report = server.objects()
        uids.append([s.TrackingUID for s in segmentation.SegmentSequence])
        tracked = {i.UID for i in items_of(report) if i.ValueType == "UIDREF"}
        assert set(uids[-1]) <= tracked
    assert uids[0] == uids[1]
    assert len(set(uids[0])) == 2


def test_the_texts_say_which_are_the_machines_and_which_the_users(server: DicomServer) -> None:
    machine = Instruction("T2", "lesion", None, "look for a bright spot", "llm")
    server.predict(BOTH, texts=[machine])
    server.submit(BOTH, instructions={"FLAIR/lesion": "dark rim"})
    _, report = server.objects()
    names = texts(report)
    assert set(names) == {"look for a bright spot", "dark rim"}
    assert "machine-made" in names["look for a bright spot"]
    assert "user" in names["dark rim"]


def test_a_label_of_another_programs_seg_names_no_algorithm_of_zeus(
    server: DicomServer,
) -> None:
    server.submit(BOTH)
    info = {"author": "Reader^One", "made_by": "SEMIAUTOMATIC", "imported_from": "DICOM SEG 1.2"}
    server.ctx.datastore.history.update_info(server.study, "final", info)
    segmentation, _ = server.objects()
    assert segmentation.ContentCreatorName.family_name == "Reader One"
    (algorithm,) = segmentation.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
    assert algorithm.AlgorithmName == "another program"
    assert [errors_of(path) for path in files_of(server)] == [set()] * 2


def test_a_list_of_series_tells_one_version_from_another(server: DicomServer) -> None:
    server.predict(BOTH, checkpoint="v0007")
    predicted = server.objects("original")
    server.submit(BOTH)
    labelled = server.objects()
    for objects, words in ((predicted, "prediction v0007"), (labelled, "final 1")):
        assert all(words in data.SeriesDescription for data in objects)
        assert "machine-made, not for diagnosis" in objects[1].SeriesDescription


@pytest.mark.parametrize(
    ("all_series", "asked", "expected"),
    [
        ("false", [], ["t2"]),
        ("false", ["T2", "FLAIR"], ["t2", "flair"]),
        ("true", [], ["t2", "flair"]),
        ("true", ["T2"], ["t2"]),
    ],
)
def test_frames_refer_to_the_series_of_their_grid_and_to_those_asked_for(
    all_series: str, asked: list[str], expected: list[str], tmp_path: Path
) -> None:
    server = DicomServer(tmp_path, refer_to_all_series=all_series)
    server.predict(BOTH)
    made = server.results.make(server.study, "original", asked).result
    seg = pydicom.dcmread(server.results.file(server.study, made.objects[0].sop_uid))
    uids = [series_uid(tmp_path / "studies" / "anna" / name) for name in expected]
    assert [item.SeriesInstanceUID for item in seg.ReferencedSeriesSequence] == uids


def test_a_label_that_was_drawn_on_another_sequence_lies_on_that_series(
    server: DicomServer, tmp_path: Path
) -> None:
    flair = np.zeros(FLAIR.shape, np.uint8)
    flair[2:5, 2:4, 3:6] = LESION
    path = tmp_path / "flair.nii.gz"
    nibabel.save(nibabel.Nifti1Image(flair, LPS_TO_RAS @ FLAIR.affine_lps), path)
    server.ctx.datastore.save_label(f"{server.study}/FLAIR", str(path), "final", {})
    segmentation, _ = server.objects()
    assert (segmentation.Columns, segmentation.Rows) == FLAIR.shape[:2]
    assert segmentation.pixel_array.sum() == flair.sum()


def test_a_mask_on_no_grid_of_the_study_is_resampled_and_this_is_noted(
    server: DicomServer,
) -> None:
    server.submit(BOTH)
    newest = server.ctx.datastore.history.newest(server.study, "final")
    assert newest is not None
    fine = np.repeat(BOTH, 2, axis=0)
    affine = LPS_TO_RAS @ T2.affine_lps
    affine[:3, 0] /= 2
    affine[:3, 3] -= affine[:3, 0] / 2  # the first of two voxels in one
    nibabel.save(nibabel.Nifti1Image(fine, affine), newest.path)
    made = server.results.make(server.study).result
    assert made.notes == ("the mask was resampled onto the grid of T2",)
    stored = pydicom.dcmread(server.results.file(server.study, made.objects[0].sop_uid))
    assert stored.pixel_array.sum() == LESION_VOXELS + CYST_VOXELS


def test_a_study_of_other_files_is_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    path = tmp_path / "studies" / "anna" / "anna_t2.nii.gz"
    path.parent.mkdir(parents=True)
    voxels = np.arange(64, dtype=np.int16).reshape(4, 4, 4)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    server = DicomServer(tmp_path)
    with pytest.raises(InputError, match=r"no DICOM.*GET /datastore/label\?label=anna&tag=final"):
        server.results.make(server.study)
