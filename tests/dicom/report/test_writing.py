"""Reports, checked by dciodvfy, and read by dcmqi and highdicom."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from highdicom.sr import ComprehensiveSR, MeasurementReport
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from tests.dicom.mr_series import AXIAL, Plan, mr_source
from tests.dicom.other_programs import BIN, errors_of, saved
from zeus_app.dicom.report.groups import OHIF_LENGTH
from zeus_app.dicom.report.measurements import LabelMeasurement, measure_labels
from zeus_app.dicom.report.writing import write_report
from zeus_app.dicom.segmentation.writing import Authorship, write_segmentation
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.targets import Target
from zeus_app.types import Instruction, Volume

SQUARE = replace(AXIAL, spacing_mm=(1.0, 1.0))
KIDNEY = {"value": "64033007", "scheme": "SCT", "meaning": "Kidney"}
STRUCTURE = {"value": "123037004", "scheme": "SCT", "meaning": "Anatomical structure"}
RIGHT = {"value": "24028007", "scheme": "SCT", "meaning": "Right"}
TARGET = Target.model_validate(
    {
        "name": "kidney",
        "instance": "kidneys",
        "labels": [
            {"name": "right kidney", "value": 1, "category": STRUCTURE, "type": KIDNEY,
             "type_modifier": RIGHT},
            {"name": "cyst", "value": 2},
            {"name": "stone", "value": 3},
        ],
        "sequences": [{"name": "T2", "prompt_name": "MRI-T2", "aliases": ["t2"]}],
    }
)  # fmt: skip
PATIENT_AND_STUDY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyInstanceUID",
    "StudyDate", "StudyDescription", "AccessionNumber",
)  # fmt: skip
MODEL = Authorship("AUTOMATIC", "hybrid 3")
TEXTS = (
    Instruction("T2", "right kidney", None, "Größe: 3 cm", "medgemma"),
    Instruction("T2", "cyst", 4, "bright spot", "user"),
)


@dataclass(frozen=True, eq=False)
class Written:
    """A report, and what it was made from."""

    report: Dataset
    measurements: tuple[LabelMeasurement, ...]
    segmentation: Dataset
    source: DicomSeriesSource


def label_array(plan: Plan) -> npt.NDArray[np.uint8]:
    """A kidney of 4×3 pixels in 2 slices, a cyst of one pixel in another, and no stone."""
    labels: npt.NDArray[np.uint8] = np.zeros(plan.shape, np.uint8)
    labels[2:6, 1:4, 2:4] = 1
    labels[9, 7, 5] = 2
    return labels


def write(
    folder: Path,
    plan: Plan = SQUARE,
    *,
    array: npt.NDArray[np.uint8] | None = None,
    authorship: Authorship = MODEL,
    texts: tuple[Instruction, ...] = TEXTS,
    user: str = "",
    with_before: bool = False,
) -> Written:
    source = mr_source(folder / "t2", plan)
    array = label_array(plan) if array is None else array
    label_map = Volume(array, source.grid().affine_ras)
    before = Volume(array * np.uint8(1), label_map.affine_ras) if with_before else None
    if before is not None:
        before.array[:, :, 2] = 0  # half of the kidney
    measurements = measure_labels(label_map, source, TARGET.label_values, before=before)
    segmentation = write_segmentation(
        label_map, target=TARGET, reference=source, authorship=authorship
    )
    report = write_report(measurements, segmentation=segmentation, instructions=texts, user=user)
    return Written(report, measurements, segmentation, source)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return write(tmp_path, with_before=True)


def content(report: Dataset) -> MeasurementReport:
    """The content as highdicom reads it from a file."""
    file = BytesIO()
    report.save_as(file, write_like_original=False)
    read = pydicom.dcmread(BytesIO(file.getvalue()))
    return ComprehensiveSR.from_dataset(read, copy=False).content


def items(data: Dataset) -> Iterator[Dataset]:
    """All items of a report."""
    for item in data.get("ContentSequence", ()):
        yield item
        yield from items(item)


def named(data: Dataset, meaning: str) -> list[Dataset]:
    return [i for i in items(data) if i.ConceptNameCodeSequence[0].CodeMeaning == meaning]


def read_by_dcmqi(report: Dataset, folder: Path) -> list[dict[str, Any]]:
    path, out = saved(report, folder / "report.dcm"), folder / "report.json"
    subprocess.run(
        [BIN / "tid1500reader", "--inputDICOM", path, "--outputMetadata", out],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    read: list[dict[str, Any]] = json.loads(out.read_text())["Measurements"]
    return read


def numbers_by_dcmqi(group: dict[str, Any]) -> dict[str, tuple[float, str]]:
    return {
        item["quantity"]["CodeMeaning"]: (float(item["value"]), item["units"]["CodeValue"])
        for item in group["measurementItems"]
    }


@pytest.mark.parametrize("case", ["square", "oblong", "empty", "by hand", "user", "no texts"])
def test_dciodvfy_finds_no_error(case: str, tmp_path: Path) -> None:
    plan = AXIAL if case == "oblong" else SQUARE
    report = write(
        tmp_path,
        plan,
        array=np.zeros(plan.shape, np.uint8) if case == "empty" else None,
        authorship=Authorship("MANUAL" if case == "by hand" else "AUTOMATIC"),
        texts=() if case in {"no texts", "empty"} else TEXTS,
        user="dr. weiß" if case == "user" else "",
        with_before=True,
    ).report
    assert errors_of(saved(report, tmp_path / "report.dcm")) == set()


def test_dcmqi_reads_the_diameter_of_each_label(written: Written, tmp_path: Path) -> None:
    groups = read_by_dcmqi(written.report, tmp_path)
    lengths = [numbers_by_dcmqi(g) for g in groups if g["TrackingIdentifier"] == OHIF_LENGTH]
    # A rectangle of 4 by 3 mm has a diagonal of 5 mm, and a pixel of 1 mm one of 1.41 mm.
    assert lengths == [{"Long Axis": (5.0, "mm")}, {"Long Axis": (1.41, "mm")}]


def test_dcmqi_reads_volume_and_dice_with_the_segment(written: Written, tmp_path: Path) -> None:
    _, kidney, _, cyst = read_by_dcmqi(written.report, tmp_path)
    assert numbers_by_dcmqi(kidney) == {
        "Volume": (0.072, "ml"),  # 24 voxels of 3 mm³
        "Dice Similarity Coefficient": (0.6667, "1"),  # 2 × 12 / (24 + 12)
    }
    assert numbers_by_dcmqi(cyst)["Volume"] == (0.003, "ml")
    assert (kidney["ReferencedSegment"], cyst["ReferencedSegment"]) == (1, 2)
    assert kidney["segmentationSOPInstanceUID"] == written.segmentation.SOPInstanceUID


def test_a_label_has_the_codes_and_the_tracking_of_its_segment(written: Written) -> None:
    segment = written.segmentation.SegmentSequence[0]
    [group] = content(written.report).get_volumetric_roi_measurement_groups(
        tracking_uid=segment.TrackingUID
    )
    assert group.tracking_identifier == segment.TrackingID
    assert group.finding_type == hd.sr.CodedConcept("64033007", "SCT", "Kidney")
    reference = group.referenced_segment
    assert reference.referenced_sop_instance_uid == written.segmentation.SOPInstanceUID
    uids = [item.UID for item in named(written.report, "Tracking Unique Identifier")]
    assert uids.count(segment.TrackingUID) == 2  # the line's group, and the segment's


def test_a_right_kidney_is_right(written: Written) -> None:
    modifiers = named(written.report, "Topographical modifier")
    assert [m.ConceptCodeSequence[0].CodeMeaning for m in modifiers] == ["Right", "Right"]


def test_the_first_number_with_the_tracking_id_of_ohif_has_the_line(written: Written) -> None:
    for group in named(written.report, "Measurement Group"):
        tracking = group.ContentSequence[0].TextValue
        numbers = [item for item in group.ContentSequence if item.ValueType == "NUM"]
        has_line = "ContentSequence" in numbers[0]
        assert has_line == (tracking == OHIF_LENGTH)


def test_without_a_voxel_a_label_has_volume_0_and_stands_apart(written: Written) -> None:
    [apart] = named(written.report, "Labels without a voxel")
    [volume] = named(apart, "Volume")
    assert volume.MeasuredValueSequence[0].NumericValue == 0
    assert named(apart, "Tracking Identifier")[0].TextValue == "kidney: stone"
    [measurements] = named(written.report, "Imaging Measurements")
    assert all(list(named(group, "Path")) or list(named(group, "Referenced Segment"))
               for group in measurements.ContentSequence)  # fmt: skip


def test_an_empty_mask_has_no_imaging_measurements(tmp_path: Path) -> None:
    report = write(tmp_path, array=np.zeros(SQUARE.shape, np.uint8)).report
    assert named(report, "Imaging Measurements") == []
    assert len(named(report, "Volume")) == 3


def test_each_text_has_its_author_and_machines_are_told_from_users(tmp_path: Path) -> None:
    report = write(tmp_path, user="anna").report
    [machine] = named(report, "Instruction, machine-made, not for diagnosis")
    [user] = named(report, "Instruction by a user")
    assert machine.TextValue == "Größe: 3 cm"
    assert named(machine, "Device Observer Name")[0].TextValue == "medgemma"
    assert named(machine, "Sequence")[0].TextValue == "T2"
    assert user.TextValue == "bright spot"
    assert named(user, "Person Observer Name")[0].PersonName == "anna^"
    assert named(user, "Sequence")[0].TextValue == "T2, axial slice 4 (0 is the lowest)"


def first_text(report: Dataset) -> str:
    contained = [i for i in report.ContentSequence if i.RelationshipType == "CONTAINS"]
    return str(contained[0].TextValue)


def test_the_document_says_what_it_is(tmp_path: Path) -> None:
    report = write(tmp_path).report
    assert report.SeriesDescription == "Zeus measurements, machine-made, not for diagnosis"
    assert first_text(report) == "The measurements are machine-made, not for diagnosis."
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    assert report.PreliminaryFlag == "PRELIMINARY"


def test_the_document_says_what_dice_compares(written: Written) -> None:
    assert first_text(written.report).endswith("compares each label with its version before.")


def test_the_comment_of_a_label_says_who_made_its_mask(tmp_path: Path) -> None:
    comments = named(write(tmp_path / "a").report, "Comment")[1:]
    assert comments[0].TextValue == "right kidney (machine-made, not for diagnosis)"
    by_hand = write(tmp_path / "b", authorship=Authorship("MANUAL", creator="anna")).report
    assert named(by_hand, "Comment")[1].TextValue == "right kidney (made by a person)"
    assert named(by_hand, "Algorithm Name") == []


def test_the_observers_are_zeus_and_the_user(tmp_path: Path) -> None:
    read = content(write(tmp_path, user="anna").report)
    [device] = read.get_observer_contexts(codes.DCM.Device)
    [person] = read.get_observer_contexts(codes.DCM.Person)
    assert device.observer_identifying_attributes.name == "Zeus"
    assert person.observer_identifying_attributes.name == "anna^"


def test_patient_and_study_are_those_of_the_images(written: Written, tmp_path: Path) -> None:
    report = pydicom.dcmread(saved(written.report, tmp_path / "report.dcm"))
    image = pydicom.dcmread(written.source.paths[0])
    for keyword in PATIENT_AND_STUDY:
        assert report[keyword].value == image[keyword].value, keyword
    assert report.SeriesInstanceUID != image.SeriesInstanceUID
    assert report.SeriesNumber == written.segmentation.SeriesNumber + 1


def test_the_evidence_lists_the_segmentation_and_the_images_of_the_lines(
    written: Written,
) -> None:
    [study] = written.report.CurrentRequestedProcedureEvidenceSequence
    uids = {i.ReferencedSOPInstanceUID
            for series in study.ReferencedSeriesSequence
            for i in series.ReferencedSOPSequence}  # fmt: skip
    drawn = {i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
             for i in named(written.report, "Original Source")}  # fmt: skip
    assert uids == {written.segmentation.SOPInstanceUID, *drawn}


def test_no_name_is_logged(
    written: Written, recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    written.segmentation.PatientName = "Einname"  # without a caret, highdicom finds a name odd
    report = write_report(written.measurements, segmentation=written.segmentation, user="zoe")
    assert report.PatientName == "Einname"
    told = caplog.text + " ".join(str(warning.message) for warning in recwarn)
    assert "Einname" not in told
    assert "zoe" not in told


def test_what_the_images_do_not_say_of_the_patient_stays_empty(
    written: Written, tmp_path: Path
) -> None:
    for keyword in ("PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        del written.segmentation[keyword]
    report = write_report(written.measurements, segmentation=written.segmentation)
    assert report.PatientName is None
    assert errors_of(saved(report, tmp_path / "report.dcm")) == set()


def test_each_report_is_an_object_of_its_own(written: Written) -> None:
    again = write_report(written.measurements, segmentation=written.segmentation)
    assert again.SOPInstanceUID != written.report.SOPInstanceUID
    assert again.SeriesInstanceUID != written.report.SeriesInstanceUID
