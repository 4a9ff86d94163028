"""The line of a diameter in a report: in pixels of its image, or in the patient."""

import numpy as np
from highdicom.sr import (
    GraphicTypeValues,
    RelationshipTypeValues,
    Scoord3DContentItem,
    ScoordContentItem,
    SourceImageForRegion,
)
from highdicom.sr.value_types import ContentSequence
from pydicom.sr.coding import Code

from zeus_app.dicom.measurements import MeasuredLine
from zeus_app.dicom.planes import Plane

_PATH = Code("121055", "DCM", "Path")
_SQUARE = 1e-3
"""Largest relative difference between the sides of a square pixel."""


def has_square_pixels(plane: Plane) -> bool:
    """Whether the pixels of an image are squares."""
    return bool(np.isclose(*plane.spacing_mm, rtol=_SQUARE, atol=0))


def line_item(line: MeasuredLine) -> ScoordContentItem | Scoord3DContentItem:
    """The line, from which the diameter is inferred.

    OHIF 3.13 draws lines in pixels at wrong places if pixels are no squares (cornerstone3D issue
    2758). So such a line lies in the patient. OHIF then shows it in its list of measurements, and
    draws it from there.
    """
    if has_square_pixels(line.plane):
        return _line_in_image(line)
    return _line_in_patient(line)


def _line_in_image(line: MeasuredLine) -> ScoordContentItem:
    item = ScoordContentItem(
        name=_PATH,
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=np.array([line.diameter.start_px, line.diameter.end_px]),
        relationship_type=RelationshipTypeValues.INFERRED_FROM,
    )
    image, frame = line.plane.image, line.plane.frame
    source = SourceImageForRegion(
        image.SOPClassUID, image.SOPInstanceUID, [frame] if frame else None
    )
    item.ContentSequence = ContentSequence([source])
    return item


def _line_in_patient(line: MeasuredLine) -> Scoord3DContentItem:
    """The line in LPS mm. Pixel (0, 0) is a corner in a report, and a centre in `Plane`."""
    ends_px = np.array([line.diameter.start_px, line.diameter.end_px]) - 0.5
    ends_lps = line.plane.pixel_affine_lps @ np.column_stack([ends_px, np.ones(2)]).T
    return Scoord3DContentItem(
        name=_PATH,
        graphic_type="POLYLINE",
        graphic_data=ends_lps.T,
        frame_of_reference_uid=line.plane.image.FrameOfReferenceUID,
        relationship_type=RelationshipTypeValues.INFERRED_FROM,
    )
