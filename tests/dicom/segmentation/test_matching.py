"""Segments become labels of a target by code, then by name."""

import numpy as np
import pytest
from pydicom.sr.coding import Code as Concept

from zeus_app.dicom.segmentation.matching import to_label_map
from zeus_app.dicom.segmentation.reading import Segment
from zeus_app.errors import InputError
from zeus_app.targets import load_target

ABDOMEN = load_target("abdomen")
KIDNEY, LIVER = Concept("64033007", "SCT", "Kidney"), Concept("10200004", "SCT", "Liver")
RIGHT, TISSUE = Concept("24028007", "SCT", "Right"), Concept("85756007", "SCT", "Tissue")


def segment(
    number: int,
    name: str,
    kind: Concept | None = TISSUE,
    modifier: Concept | None = None,
    *,
    voxels: slice = slice(0, 1),
) -> Segment:
    mask = np.zeros((6, 1, 1), bool)
    mask[voxels] = True
    return Segment(number, name, None, kind, modifier, "MANUAL", "", "", mask)


def test_a_code_wins_over_a_name() -> None:
    assert to_label_map([segment(1, "spleen", LIVER)], ABDOMEN).matched == {1: "liver"}


def test_the_modifier_tells_which_kidney_it_is() -> None:
    assert to_label_map([segment(1, "x", KIDNEY, RIGHT)], ABDOMEN).matched == {1: "right kidney"}


def test_a_kidney_without_a_side_is_matched_by_its_name() -> None:
    assert to_label_map([segment(1, "left kidney", KIDNEY)], ABDOMEN).matched == {1: "left kidney"}


@pytest.mark.parametrize("name", ["Right Kidney", "right_kidney", " RIGHT-KIDNEY "])
def test_case_and_separators_of_a_name_do_not_matter(name: str) -> None:
    assert to_label_map([segment(1, name)], ABDOMEN).matched == {1: "right kidney"}


def test_a_segment_without_codes_is_matched_by_its_name() -> None:
    assert to_label_map([segment(1, "spleen", None)], ABDOMEN).matched == {1: "spleen"}


def test_a_segment_that_is_no_label_is_named_and_left_out() -> None:
    result = to_label_map([segment(1, "aorta", voxels=slice(3, 5))], ABDOMEN)
    assert result.unmatched == ("aorta",)
    assert not result.label_map.any()


def test_the_label_map_has_the_values_of_the_target() -> None:
    segments = [segment(1, "spleen"), segment(2, "liver", voxels=slice(2, 4))]
    assert to_label_map(segments, ABDOMEN).label_map.ravel().tolist() == [4, 0, 1, 1, 0, 0]


def test_two_segments_of_one_label_are_united() -> None:
    segments = [segment(1, "a", LIVER), segment(2, "b", LIVER, voxels=slice(0, 3))]
    result = to_label_map(segments, ABDOMEN)
    assert result.label_map.ravel().tolist() == [1, 1, 1, 0, 0, 0]
    assert result.overlapping == 0


def test_voxels_of_two_labels_are_counted_and_have_the_later_one() -> None:
    segments = [
        segment(1, "liver", voxels=slice(0, 4)), segment(2, "spleen", voxels=slice(3, 6)),
    ]  # fmt: skip
    result = to_label_map(segments, ABDOMEN)
    assert result.label_map.ravel().tolist() == [1, 1, 1, 4, 4, 4]
    assert result.overlapping == 1


def test_no_segment_is_refused() -> None:
    with pytest.raises(InputError, match="without segments"):
        to_label_map([], ABDOMEN)
