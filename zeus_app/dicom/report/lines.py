"""The line of a diameter in a report: in pixels of its image, or in the patient."""

from collections.abc import Sequence

import numpy as np
from highdicom.sr import (
    RelationshipTypeValues,
    Scoord3DContentItem,
    ScoordContentItem,
    SourceImageForRegion,
)
from highdicom.sr.value_types import ContentItem, ContentSequence
from pydicom.sr.coding import Code

from zeus_app.dicom.planes import Plane, Vector
from zeus_app.dicom.report.diameter import Point
from zeus_app.dicom.report.measurements import MeasuredLine

TEXT_POSITION = Code("TextPosition", "99CS3D", "Text Annotation Position")
"""The code by which OHIF stores where the text of a line stands."""
_PATH = Code("121055", "DCM", "Path")
_SQUARE = 1e-3
"""Largest relative difference between the sides of a square pixel."""


def has_square_pixels(plane: Plane) -> bool:
    """Whether the pixels of an image are squares."""
    return bool(np.isclose(*plane.spacing_mm, rtol=_SQUARE, atol=0))


def line_item(line: MeasuredLine) -> ContentItem:
    """The line, from which the diameter is inferred."""
    ends_px = (line.diameter.start_px, line.diameter.end_px)
    return _coordinates(line.plane, ends_px, _PATH, RelationshipTypeValues.INFERRED_FROM)


def text_position_item(line: MeasuredLine) -> ContentItem:
    """Where the text of the line stands: at its right end."""
    end_px = max(line.diameter.start_px, line.diameter.end_px)
    return _coordinates(line.plane, [end_px], TEXT_POSITION, RelationshipTypeValues.CONTAINS)


def _coordinates(
    plane: Plane, points_px: Sequence[Point], name: Code, relationship: RelationshipTypeValues
) -> ContentItem:
    """A point or a line in its image; in the patient, if the image's pixels are no squares.

    OHIF 3.13 draws coordinates of pixels that are no squares at wrong places (cornerstone3D issue
    2758). Coordinates in the patient appear in its list of measurements, and are drawn from there.
    """
    kind = "POINT" if len(points_px) == 1 else "POLYLINE"
    if not has_square_pixels(plane):
        points_lps, space = _in_patient(plane, points_px), plane.image.FrameOfReferenceUID
        return Scoord3DContentItem(name, kind, points_lps, space, relationship_type=relationship)
    item = ScoordContentItem(name, kind, np.array(points_px), relationship_type=relationship)
    frames = [plane.frame] if plane.frame else None
    source = SourceImageForRegion(plane.image.SOPClassUID, plane.image.SOPInstanceUID, frames)
    item.ContentSequence = ContentSequence([source])
    return item


def _in_patient(plane: Plane, points_px: Sequence[Point]) -> Vector:
    """(N, 3) LPS mm. Pixel (0, 0) is a corner in a report, and a centre in `Plane`."""
    centres_px = np.column_stack([np.array(points_px) - 0.5, np.ones(len(points_px))])
    return np.asarray(centres_px @ plane.pixel_affine_lps.T)
