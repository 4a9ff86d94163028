"""A new mask does not take voxels of the user's other segments."""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pytest

from zeus_app.server.interactive.kept_segments import KeptSegments, keep_segments
from zeus_app.types import LabelArray, Volume

LESION, CYST, EDGE = 1, 2, 3


def row(*values: int) -> LabelArray:
    """A label map of one row of voxels."""
    return np.array(values, np.uint8).reshape(-1, 1, 1)


def kept(
    mask: LabelArray, segments: KeptSegments, *, new: set[int], shown: Collection[int] = ()
) -> npt.NDArray[np.generic]:
    return keep_segments(Volume(mask, np.eye(4)), segments, new=new, shown=shown).array.ravel()


MASK = row(0, LESION, LESION, LESION, 0)


def test_without_other_segments_the_mask_stays() -> None:
    assert kept(MASK, KeptSegments(), new={LESION}).tolist() == [0, 1, 1, 1, 0]


def test_the_new_mask_ends_where_another_segment_begins() -> None:
    segments = KeptSegments(kept=row(0, 0, 0, CYST, CYST))
    assert kept(MASK, segments, new={LESION}).tolist() == [0, 1, 1, 0, 0]


def test_the_label_s_own_earlier_segment_is_replaced() -> None:
    segments = KeptSegments(kept=row(LESION, LESION, 0, CYST, 0))
    assert kept(MASK, segments, new={LESION}).tolist() == [0, 1, 1, 0, 0]


def test_the_answer_shows_the_kept_labels_that_the_client_does_not_keep_itself() -> None:
    segments = KeptSegments(kept=row(EDGE, 0, 0, CYST, CYST))
    assert kept(MASK, segments, new={LESION}, shown={CYST}).tolist() == [0, 1, 1, 2, 2]
    assert kept(MASK, segments, new={LESION}, shown={CYST, EDGE}).tolist() == [3, 1, 1, 2, 2]


def test_of_two_clicked_labels_both_masks_are_new() -> None:
    segments = KeptSegments(kept=row(0, CYST, CYST, EDGE, EDGE))
    both = row(0, LESION, CYST, CYST, LESION)
    assert kept(both, segments, new={LESION, CYST}).tolist() == [0, 1, 2, 0, 0]


def test_a_mask_to_refine_has_its_other_labels_again() -> None:
    segments = KeptSegments(sent=row(0, LESION, CYST, CYST, 0))
    assert kept(MASK, segments, new={LESION}).tolist() == [0, 1, 2, 2, 0]


def test_what_an_initial_mask_alone_shows_is_not_cut() -> None:
    """The user named this mask, and no prompt made a new one."""
    segments = KeptSegments(sent=MASK, kept=row(0, CYST, 0, 0, 0))
    assert kept(MASK, segments, new=set()).tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_answer_holds_whole_numbers(dtype: npt.DTypeLike) -> None:
    answer = Volume(MASK.astype(dtype), np.eye(4))
    segments = KeptSegments(sent=row(0, 0, 0, CYST, 0), kept=row(EDGE, 0, 0, 0, 0))
    kept_answer = keep_segments(answer, segments, new={LESION}, shown={EDGE})
    assert kept_answer.array.dtype == np.uint8
    assert kept_answer.array.ravel().tolist() == [3, 1, 1, 2, 0]
