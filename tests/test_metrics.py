"""Overlap of masks, on cases small enough to work out by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from zeus_app.errors import InputError
from zeus_app.metrics import (
    LesionCounts,
    count_lesions,
    dice,
    hd95_mm,
    iou,
    lesion_f1,
    mean_dice,
    miou,
    miou_with_background,
)
from zeus_app.types import LabelArray

Score = Callable[..., float]

EMPTY = np.zeros((4, 4, 4), np.uint8)
FULL = np.ones((4, 4, 4), np.uint8)
PRED = np.array([1, 1, 1, 0, 0, 0])
TRUTH = np.array([0, 1, 1, 1, 1, 0])


def test_dice_of_three_and_four_voxels_that_share_two_is_four_sevenths() -> None:
    assert dice(PRED, TRUTH) == pytest.approx(4 / 7)


def test_iou_of_three_and_four_voxels_that_share_two_is_two_fifths() -> None:
    assert iou(PRED, TRUTH) == pytest.approx(2 / 5)


@pytest.mark.parametrize("score", [dice, iou, lesion_f1])
class TestEmptyMasks:
    def test_two_empty_masks_score_one(self, score: Score) -> None:
        assert score(EMPTY, EMPTY) == 1.0

    def test_an_empty_answer_to_a_full_truth_scores_zero(self, score: Score) -> None:
        assert score(EMPTY, FULL) == 0.0

    def test_a_full_answer_to_an_empty_truth_scores_zero(self, score: Score) -> None:
        assert score(FULL, EMPTY) == 0.0

    def test_any_value_but_zero_is_inside(self, score: Score) -> None:
        assert score(FULL * 200, FULL) == 1.0

    def test_masks_of_different_shapes_are_refused(self, score: Score) -> None:
        with pytest.raises(InputError, match=r"\(4, 4\).*\(4, 4, 4\)"):
            score(EMPTY[0], FULL)


# Label 1: two right of three. Label 2: one right of two. Background: five right of six.
PRED_MAP = np.array([1, 1, 1, 2, 0, 0, 0, 0, 0])
TRUTH_MAP = np.array([1, 1, 0, 2, 2, 0, 0, 0, 0])


def test_mean_dice_is_the_mean_over_the_labels_that_either_map_shows() -> None:
    # Label 1: 2·2 / (3 + 2). Label 2: 2·1 / (1 + 2). Label 3 is shown by neither.
    assert mean_dice(PRED_MAP, TRUTH_MAP, (1, 2, 3)) == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_swapped_labels_have_a_mean_dice_of_zero_though_one_lies_on_the_other() -> None:
    swapped = np.array([0, 2, 1])[TRUTH_MAP]
    assert dice(swapped, TRUTH_MAP) == 1.0
    assert mean_dice(swapped, TRUTH_MAP, (1, 2)) == pytest.approx((0 + 0) / 2)


def test_maps_that_show_no_label_agree() -> None:
    assert mean_dice(EMPTY, EMPTY, (1, 2)) == 1.0


def test_miou_is_the_mean_over_the_labels_alone() -> None:
    assert miou(PRED_MAP, TRUTH_MAP, (1, 2)) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_miou_with_background_counts_the_background_as_one_more_label() -> None:
    expected = (2 / 3 + 1 / 2 + 4 / 6) / 3
    assert miou_with_background(PRED_MAP, TRUTH_MAP, (1, 2)) == pytest.approx(expected)


def test_a_label_that_neither_map_holds_counts_as_one() -> None:
    assert miou(PRED_MAP, TRUTH_MAP, (1, 2, 3)) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


@pytest.mark.parametrize("score", [miou, miou_with_background])
def test_a_mean_over_no_label_is_refused(score: Score) -> None:
    with pytest.raises(InputError, match="no label values"):
        score(PRED_MAP, TRUTH_MAP, ())


def volume(*voxels: tuple[int, int, int]) -> LabelArray:
    """A mask of 9×9×9 voxels that holds these."""
    mask = np.zeros((9, 9, 9), np.uint8)
    for voxel in voxels:
        mask[voxel] = 1
    return mask


class TestLesions:
    def test_one_voxel_of_overlap_finds_a_lesion(self) -> None:
        truth = volume((1, 1, 1), (1, 1, 2), (1, 1, 3))
        assert count_lesions(volume((1, 1, 3)), truth) == LesionCounts(found=1, missed=0, false=0)

    def test_of_three_lesions_one_is_found_and_one_prediction_is_false(self) -> None:
        truth = volume((0, 0, 0), (4, 4, 4), (8, 8, 8))
        pred = volume((0, 0, 0), (0, 8, 0))
        assert count_lesions(pred, truth) == LesionCounts(found=1, missed=2, false=1)
        assert lesion_f1(pred, truth) == pytest.approx(2 / (2 + 2 + 1))

    def test_voxels_that_touch_by_a_corner_are_one_lesion(self) -> None:
        truth = volume((1, 1, 1), (2, 2, 2))
        assert count_lesions(volume((2, 2, 2)), truth) == LesionCounts(found=1, missed=0, false=0)

    def test_voxels_with_one_voxel_between_them_are_two_lesions(self) -> None:
        truth = volume((1, 1, 1), (1, 1, 3))
        assert count_lesions(volume((1, 1, 1)), truth) == LesionCounts(found=1, missed=1, false=0)

    def test_a_prediction_that_bridges_two_lesions_finds_both_and_is_not_false(self) -> None:
        truth = volume((1, 1, 1), (1, 1, 3))
        pred = volume((1, 1, 1), (1, 1, 2), (1, 1, 3))
        assert count_lesions(pred, truth) == LesionCounts(found=2, missed=0, false=0)


class TestDistance:
    def test_two_voxels_are_as_far_apart_as_their_spacing_says(self) -> None:
        # Two voxels along the last axis of 3 mm, none along the others.
        assert hd95_mm(volume((4, 4, 2)), volume((4, 4, 4)), (1, 1, 3)) == pytest.approx(6)

    def test_the_larger_direction_counts(self) -> None:
        # From the truth, one of two voxels is 4 mm away. The 95th percentile of 0 and 4 is 3.8.
        assert hd95_mm(volume((4, 4, 0)), volume((4, 4, 0), (4, 4, 4)), (1, 1, 1)) == (
            pytest.approx(3.8)
        )

    def test_an_empty_mask_has_no_distance(self) -> None:
        assert hd95_mm(EMPTY, FULL, (1, 1, 1)) is None

    @pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.7, 0.9, 5.0), (4.0, 1.0, 0.3)])
    def test_it_equals_simpleitks_distances_between_contours(
        self, spacing_mm: tuple[float, float, float]
    ) -> None:
        noise = np.random.default_rng(1).random((2, 14, 12, 8))
        masks = [ndimage.gaussian_filter(one, 1.5) > 0.5 for one in noise]
        for mask in masks:
            mask[[0, -1]] = mask[:, [0, -1]] = mask[..., [0, -1]] = False  # contours are closed
        contours = []
        for mask in masks:
            image = sitk.GetImageFromArray(mask.astype(np.uint8).T)
            image.SetSpacing(spacing_mm)
            contours.append(sitk.LabelContour(image, fullyConnected=False))
        percentiles, largest = [], []
        for start, end in (contours, contours[::-1]):
            to_end = sitk.SignedMaurerDistanceMap(end, squaredDistance=False, useImageSpacing=True)
            distances = np.maximum(sitk.GetArrayFromImage(to_end), 0)
            of_start = distances[sitk.GetArrayFromImage(start) > 0]
            percentiles.append(np.percentile(of_start, 95))
            largest.append(of_start.max())
        assert hd95_mm(masks[0], masks[1], spacing_mm) == pytest.approx(max(percentiles), rel=1e-5)
        hausdorff = sitk.HausdorffDistanceImageFilter()
        hausdorff.Execute(*contours)
        assert max(largest) == pytest.approx(hausdorff.GetHausdorffDistance(), rel=1e-5)

    @pytest.mark.slow  # the import of MONAI takes seconds
    def test_it_equals_monais(self) -> None:
        import torch
        from monai.metrics import compute_hausdorff_distance

        noise = np.random.default_rng(0).random((2, 9, 9, 9)) > 0.8
        pair = torch.from_numpy(noise)[:, None, None]
        expected = compute_hausdorff_distance(
            pair[0], pair[1], include_background=True, percentile=95, spacing=[2.0, 1.0, 0.5]
        )
        assert hd95_mm(noise[0], noise[1], (2.0, 1.0, 0.5)) == pytest.approx(float(expected))
