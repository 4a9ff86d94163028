"""Overlap and distance of masks, on cases small enough to work out by hand."""

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance

from zeus_app.errors import InputError
from zeus_app.metrics import dice, hd95_mm, iou, mean_dice, miou, miou_with_background

EMPTY = np.zeros((4, 4, 4), np.uint8)
FULL = np.ones((4, 4, 4), np.uint8)
PRED = np.array([1, 1, 1, 0, 0, 0])
TRUTH = np.array([0, 1, 1, 1, 1, 0])


def point(x: int, y: int, z: int) -> np.ndarray:
    mask = np.zeros((8, 8, 8), bool)
    mask[x, y, z] = True
    return mask


def test_dice_of_three_and_four_voxels_that_share_two_is_four_sevenths():
    assert dice(PRED, TRUTH) == pytest.approx(4 / 7)


def test_iou_of_three_and_four_voxels_that_share_two_is_two_fifths():
    assert iou(PRED, TRUTH) == pytest.approx(2 / 5)


@pytest.mark.parametrize("score", [dice, iou])
class TestEmptyMasks:
    def test_two_empty_masks_score_one(self, score):
        assert score(EMPTY, EMPTY) == 1.0

    def test_an_empty_answer_to_a_full_truth_scores_zero(self, score):
        assert score(EMPTY, FULL) == 0.0

    def test_a_full_answer_to_an_empty_truth_scores_zero(self, score):
        assert score(FULL, EMPTY) == 0.0

    def test_any_value_but_zero_is_inside(self, score):
        assert score(FULL * 200, FULL) == 1.0

    def test_masks_of_different_shapes_are_refused(self, score):
        with pytest.raises(InputError, match=r"\(4, 4\).*\(4, 4, 4\)"):
            score(EMPTY[0], FULL)


# Label 1: two right of three. Label 2: one right of two. Background: five right of six.
PRED_MAP = np.array([1, 1, 1, 2, 0, 0, 0, 0, 0])
TRUTH_MAP = np.array([1, 1, 0, 2, 2, 0, 0, 0, 0])


def test_mean_dice_is_the_mean_over_the_labels_that_either_map_shows():
    # Label 1: 2·2 / (3 + 2). Label 2: 2·1 / (1 + 2). Label 3 is shown by neither.
    assert mean_dice(PRED_MAP, TRUTH_MAP, (1, 2, 3)) == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_swapped_labels_have_a_mean_dice_of_zero_though_one_lies_on_the_other():
    swapped = np.array([0, 2, 1])[TRUTH_MAP]
    assert dice(swapped, TRUTH_MAP) == 1.0
    assert mean_dice(swapped, TRUTH_MAP, (1, 2)) == pytest.approx((0 + 0) / 2)


def test_maps_that_show_no_label_agree():
    assert mean_dice(EMPTY, EMPTY, (1, 2)) == 1.0


def test_miou_is_the_mean_over_the_labels_alone():
    assert miou(PRED_MAP, TRUTH_MAP, (1, 2)) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_miou_with_background_counts_the_background_as_one_more_label():
    expected = (2 / 3 + 1 / 2 + 4 / 6) / 3
    assert miou_with_background(PRED_MAP, TRUTH_MAP, (1, 2)) == pytest.approx(expected)


def test_a_label_that_neither_map_holds_counts_as_one():
    assert miou(PRED_MAP, TRUTH_MAP, (1, 2, 3)) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


@pytest.mark.parametrize("score", [miou, miou_with_background])
def test_a_mean_over_no_label_is_refused(score):
    with pytest.raises(InputError, match="no label values"):
        score(PRED_MAP, TRUTH_MAP, ())


def test_the_distance_of_two_voxels_counts_millimetres_along_each_axis():
    # 3 voxels of 1 mm and 2 voxels of 2 mm: sqrt(3² + 4²)
    assert hd95_mm(point(1, 1, 1), point(4, 3, 1), (1.0, 2.0, 5.0)) == pytest.approx(5.0)


def test_one_far_voxel_among_a_hundred_does_not_count():
    truth = np.zeros((30, 30, 1), bool)
    truth[:10, :10] = True
    pred = truth.copy()
    pred[29, 29] = True
    assert hd95_mm(pred, truth, (1.0, 1.0, 1.0)) == 0.0


def test_a_slab_shifted_by_two_voxels_of_three_mm_is_six_mm_away():
    truth, pred = np.zeros((2, 10, 4, 4), bool)
    truth[2] = True
    pred[4] = True
    assert hd95_mm(pred, truth, (3.0, 1.0, 1.0)) == pytest.approx(6.0)


def test_two_empty_masks_are_no_distance_apart():
    assert hd95_mm(EMPTY, EMPTY, (1.0, 1.0, 1.0)) == 0.0


def test_an_empty_answer_is_a_volume_diagonal_away():
    # edges of 4 voxels: 4, 8 and 8 mm
    assert hd95_mm(EMPTY, FULL, (1.0, 2.0, 2.0)) == pytest.approx(math.sqrt(16 + 64 + 64))


def test_the_distance_agrees_with_monai_on_random_blobs():
    rng = np.random.default_rng(3)
    pred, truth = np.zeros((2, 20, 22, 9), bool)
    for x, y, z in rng.integers(1, 7, (12, 3)):
        pred[x : x + 6, y : y + 8, z : z + 2] = True
        truth[x + 3 : x + 9, y + 2 : y + 9, z : z + 2] = True
    spacing = (1.5, 0.7, 5.0)
    batch = (torch.as_tensor(mask[None, None]) for mask in (pred, truth))
    theirs = compute_hausdorff_distance(*batch, percentile=95, spacing=list(spacing))
    assert hd95_mm(pred, truth, spacing) == pytest.approx(float(theirs), rel=1e-5)


def test_a_spacing_of_the_wrong_length_is_refused():
    with pytest.raises(InputError, match="one positive edge length an axis"):
        hd95_mm(EMPTY, FULL, (1.0, 1.0))
