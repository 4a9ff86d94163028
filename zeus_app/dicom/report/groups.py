"""Measurement groups of a report (DICOM PS3.16, TID 1411 and 1501), as OHIF displays them.

OHIF 3.13 puts the groups of one Tracking Unique Identifier together, and draws their first line. It
offers this line for its list of measurements if two things are true. The Tracking Identifier is
`OHIF_LENGTH`, and the line belongs to the group's first number. So each label has two groups: the
diameter with its line, then volume and Dice similarity with the segment. A group without any line
stops OHIF from drawing the groups of other labels; see `empty_group`.

The OHIF that MONAI Label 0.8.5 bundles fails on a number without a line. The position of the text
prevents this: there, OHIF draws an arrow to it beside all numbers. Its list gets the line too.
"""

from collections.abc import Sequence

from highdicom.sr import (
    Measurement,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from highdicom.sr import MeasurementsAndQualitativeEvaluations as Group
from highdicom.sr.value_types import CodeContentItem, ContentSequence
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from zeus_app.dicom.report.lines import line_item, text_position_item
from zeus_app.dicom.report.measurements import LabelMeasurement, MeasuredLine
from zeus_app.dicom.report.segments import Segment
from zeus_app.dicom.report.texts import text_item

OHIF_LENGTH = "Cornerstone3DTools@^0.1.0:Length"
"""The Tracking Identifier by which OHIF knows a line with a length."""
DICE = Code("130920", "DCM", "Dice Similarity Coefficient")  # CID 281, newer than pydicom 2.4
LONG_AXIS = Code("103339001", "SCT", "Long Axis")
_MODIFIER = Code("106233006", "SCT", "Topographical modifier")
_MILLILITRE = Code("ml", "UCUM", "milliliter")


def groups_of(
    measured: LabelMeasurement, line: MeasuredLine, segment: Segment, segmentation: Dataset
) -> list[Group]:
    """The two groups of a label that is not empty."""
    length = round(line.diameter.length_mm, 2)
    number = Measurement(LONG_AXIS, length, codes.UCUM.Millimeter)
    number[0].ContentSequence = ContentSequence([line_item(line)])
    drawn = _group(segment, OHIF_LENGTH, [number])
    comment = f"{measured.label} ({segmentation.ContentDescription})"
    drawn[0].ContentSequence.extend(
        [
            text_item(codes.DCM.Comment, comment, RelationshipTypeValues.CONTAINS),
            text_position_item(line),
        ]
    )
    return [drawn, _segment_group(measured, line, segment, segmentation)]


def empty_group(measured: LabelMeasurement, segment: Segment) -> Group:
    """The group of a label without a voxel. It refers to no segment and to no image.

    OHIF 3.13 fails on such a group among the Imaging Measurements, and then draws none of them.
    """
    return _group(segment, segment.tracking_id, _amounts(measured))


def _segment_group(
    measured: LabelMeasurement, line: MeasuredLine, segment: Segment, segmentation: Dataset
) -> Group:
    group = VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(segment.tracking_uid, segment.tracking_id),
        referenced_segment=ReferencedSegment(
            segmentation.SOPClassUID,
            segmentation.SOPInstanceUID,
            segment.number,
            source_series=SourceSeriesForSegmentation(line.plane.image.SeriesInstanceUID),
        ),
        finding_type=segment.finding,
        algorithm_id=segment.algorithm,
        measurements=_amounts(measured),
    )
    return _with_modifier(group, segment)


def _group(segment: Segment, tracking_id: str, numbers: Sequence[Measurement]) -> Group:
    group = Group(
        tracking_identifier=TrackingIdentifier(segment.tracking_uid, tracking_id),
        finding_type=segment.finding,
        algorithm_id=segment.algorithm,
        measurements=numbers,
    )
    return _with_modifier(group, segment)


def _with_modifier(group: Group, segment: Segment) -> Group:
    """Add a modifier such as right to the finding."""
    if segment.modifier is not None:
        finding = group[0].ContentSequence.find(codes.DCM.Finding)[0]
        modifier = CodeContentItem(
            _MODIFIER, segment.modifier, RelationshipTypeValues.HAS_CONCEPT_MOD
        )
        finding.ContentSequence = ContentSequence([modifier])
    return group


def _amounts(measured: LabelMeasurement) -> list[Measurement]:
    numbers = [Measurement(codes.SCT.Volume, round(measured.volume_ml, 3), _MILLILITRE)]
    if measured.dice_before is not None:
        numbers.append(Measurement(DICE, round(measured.dice_before, 4), codes.UCUM.NoUnits))
    return numbers
