"""The segments of a DICOM SEG as the labels of a target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zeus_app.dicom.codes import are_equal, codes_of
from zeus_app.dicom.segmentation.reading import Segment
from zeus_app.errors import InputError
from zeus_app.targets import Label, Target
from zeus_app.types import LabelArray


@dataclass(frozen=True, eq=False)
class MatchedSegments:
    """Segments as a label map of a target.

    Attributes:
        label_map: (X, Y, Z) uint8, the target's values.
        matched: number of a segment -> name of its label.
        unmatched: names of the segments that are no label of the target.
        overlapping: number of voxels that segments of two labels cover; the later segment has them.
    """

    label_map: LabelArray
    matched: Mapping[int, str]
    unmatched: tuple[str, ...]
    overlapping: int


def to_label_map(segments: Sequence[Segment], target: Target) -> MatchedSegments:
    """The label map of some segments, matched to a target's labels by code, then by name.

    Several segments may be one label. All segments must have the same grid.

    Raises:
        InputError: there is no segment.
    """
    if not segments:
        raise InputError(
            "a SEG without segments",
            expected="at least one segment",
            remedy="export the segmentation again as DICOM SEG",
        )
    labels = {segment.number: _label_of(segment, target) for segment in segments}
    label_map = np.zeros(segments[0].mask.shape, np.uint8)
    overlapping = np.zeros(label_map.shape, bool)
    for segment in segments:
        if label := labels[segment.number]:
            overlapping |= segment.mask & (label_map != 0) & (label_map != label.value)
            label_map[segment.mask] = label.value
    return MatchedSegments(
        label_map=label_map,
        matched={number: label.name for number, label in labels.items() if label},
        unmatched=tuple(s.name for s in segments if labels[s.number] is None),
        overlapping=int(np.count_nonzero(overlapping)),
    )


def _label_of(segment: Segment, target: Target) -> Label | None:
    """The label with the codes of a segment; else the label with its name."""
    coded = [(label, codes_of(label)) for label in target.labels]
    by_code = [
        label
        for label, codes in coded
        if are_equal(codes.type, segment.type) and are_equal(codes.modifier, segment.modifier)
    ]
    if len(by_code) == 1:
        return by_code[0]
    name = _plain(segment.name)
    return next((label for label in target.labels if _plain(label.name) == name), None)


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
