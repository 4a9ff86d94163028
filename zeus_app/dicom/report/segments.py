"""What a report says of a label's segment, as the DICOM SEG states it."""

from dataclasses import dataclass

from highdicom.sr import AlgorithmIdentification
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from zeus_app.dicom.codes import read_concept


@dataclass(frozen=True, eq=False)
class Segment:
    """A segment of a DICOM SEG.

    Attributes:
        number: its number.
        finding: its Segmented Property Type.
        modifier: the modifier of its type, for example right; None without one.
        tracking_id, tracking_uid: by which its versions are known.
        algorithm: the model that made it; None for a mask by hand.
    """

    number: int
    finding: Code
    modifier: Code | None
    tracking_id: str
    tracking_uid: str
    algorithm: AlgorithmIdentification | None


def segments_of(segmentation: Dataset) -> dict[str, Segment]:
    """The segments of a SEG that Zeus wrote: Segment Label -> segment."""
    return {str(item.SegmentLabel): _segment(item) for item in segmentation.SegmentSequence}


def _segment(item: Dataset) -> Segment:
    finding = read_concept(item.SegmentedPropertyTypeCodeSequence)
    assert finding is not None
    kind = item.SegmentedPropertyTypeCodeSequence[0]
    models = item.get("SegmentationAlgorithmIdentificationSequence") or ()
    return Segment(
        number=int(item.SegmentNumber),
        finding=finding,
        modifier=read_concept(kind.get("SegmentedPropertyTypeModifierCodeSequence")),
        tracking_id=str(item.TrackingID),
        tracking_uid=str(item.TrackingUID),
        algorithm=next(
            (AlgorithmIdentification(m.AlgorithmName, m.AlgorithmVersion) for m in models), None
        ),
    )
