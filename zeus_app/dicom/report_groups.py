"""Measurement groups of a report (DICOM PS3.16, TID 1411 and 1501), as OHIF displays them.

OHIF 3.13 puts the groups of one Tracking Unique Identifier together, and draws their first line. It
offers this line for its list of measurements if two things are true. The Tracking Identifier is
`OHIF_LENGTH`, and the line belongs to the group's first number. So each label has two groups: the
diameter with its line, then volume and Dice similarity with the segment. Without any line, a group
stops OHIF from drawing the groups of other labels; see `empty_group`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    GraphicTypeValues,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    ReferencedSegment,
    RelationshipTypeValues,
    ScoordContentItem,
    SourceImageForRegion,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from highdicom.sr.value_types import ContentItem, ContentSequence
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from zeus_app.dicom.diameter import Diameter
from zeus_app.dicom.measurements import LabelMeasurement
from zeus_app.types import MACHINE_MADE

OHIF_LENGTH = "Cornerstone3DTools@^0.1.0:Length"
"""The Tracking Identifier by which OHIF knows a line with a length."""
DICE = Code("130920", "DCM", "Dice Similarity Coefficient")  # CID 281, newer than pydicom 2.4
_MILLILITRE = Code("ml", "UCUM", "milliliter")
_PATH = Code("121055", "DCM", "Path")
_LONG_AXIS = Code("103339001", "SCT", "Long Axis")


@dataclass(frozen=True)
class ReportedLabel:
    """What a report must know about a label besides its measurements.

    Attributes:
        finding: code of the label.
        tracking_id: Tracking ID of its segment in the DICOM SEG.
        tracking_uid: Tracking UID of its segment.
        segment_number: number of its segment; None if there is no segment.
    """

    finding: Code
    tracking_id: str
    tracking_uid: str
    segment_number: int | None = None


@dataclass(frozen=True, eq=False)
class GroupSources:
    """What the groups of a report refer to.

    Attributes:
        images: SOP Instance UID -> header of an image of the measured series.
        segmentation: the DICOM SEG, or its header; None without one.
        algorithm: what made the mask; None for a mask by hand.
    """

    images: dict[str, Dataset]
    segmentation: Dataset | None
    algorithm: AlgorithmIdentification | None


def groups_of(
    measured: LabelMeasurement, label: ReportedLabel, sources: GroupSources
) -> list[MeasurementsAndQualitativeEvaluations]:
    """The two groups of a label that is not empty."""
    if measured.diameter is None:
        raise ValueError(f"{measured.label} is empty")
    line = _group(label, sources, OHIF_LENGTH, [_length(measured, sources)])
    comment = f"{measured.label} ({MACHINE_MADE})"
    line[0].ContentSequence.append(
        text_item(codes.DCM.Comment, comment, RelationshipTypeValues.CONTAINS)
    )
    return [line, _segment_group(measured, label, sources)]


def empty_group(
    measured: LabelMeasurement, label: ReportedLabel, sources: GroupSources
) -> MeasurementsAndQualitativeEvaluations:
    """The group of a label without a voxel. It refers to no segment and to no image.

    OHIF 3.13 fails on such a group among the Imaging Measurements, and then draws none of them.
    """
    return _group(label, sources, label.tracking_id, _amounts(measured))


def text_item(name: Code, text: str, relationship: RelationshipTypeValues) -> ContentItem:
    """A text of the report, without characters that DICOM's value representation UT forbids."""
    clean = "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)
    return TextContentItem(name=name, value=clean.strip(), relationship_type=relationship)


def _segment_group(
    measured: LabelMeasurement, label: ReportedLabel, sources: GroupSources
) -> MeasurementsAndQualitativeEvaluations:
    segmentation = sources.segmentation
    if segmentation is None or label.segment_number is None:
        return _group(label, sources, label.tracking_id, _amounts(measured))
    image = sources.images[measured.sop_uid]
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(label.tracking_uid, label.tracking_id),
        referenced_segment=ReferencedSegment(
            segmentation.SOPClassUID,
            segmentation.SOPInstanceUID,
            label.segment_number,
            source_series=SourceSeriesForSegmentation(image.SeriesInstanceUID),
        ),
        finding_type=label.finding,
        algorithm_id=sources.algorithm,
        measurements=_amounts(measured),
    )


def _group(
    label: ReportedLabel, sources: GroupSources, tracking_id: str, numbers: Sequence[Measurement]
) -> MeasurementsAndQualitativeEvaluations:
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(label.tracking_uid, tracking_id),
        finding_type=label.finding,
        algorithm_id=sources.algorithm,
        measurements=numbers,
    )


def _amounts(measured: LabelMeasurement) -> list[Measurement]:
    numbers = [Measurement(codes.SCT.Volume, round(measured.volume_ml, 3), _MILLILITRE)]
    if measured.dice_before is not None:
        numbers.append(Measurement(DICE, round(measured.dice_before, 4), codes.UCUM.NoUnits))
    return numbers


def _length(measured: LabelMeasurement, sources: GroupSources) -> Measurement:
    """The diameter, with its line in the image."""
    assert measured.diameter is not None
    number = Measurement(_LONG_AXIS, round(measured.diameter.length_mm, 2), codes.UCUM.Millimeter)
    line = _line(measured.diameter)
    image = sources.images[measured.sop_uid]
    line.ContentSequence = ContentSequence([SourceImageForRegion.from_source_image(image)])
    number[0].ContentSequence = ContentSequence([line])
    return number


def _line(diameter: Diameter) -> ScoordContentItem:
    return ScoordContentItem(
        name=_PATH,
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=np.array([diameter.start_px, diameter.end_px]),
        relationship_type=RelationshipTypeValues.INFERRED_FROM,
    )
