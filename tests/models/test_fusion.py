"""Uniting sequences: worked out by hand on one voxel."""

import pytest
import torch

from zeus_app.errors import UnknownNameError
from zeus_app.models.fusion import fused_logits, label_indices, unite

LOGIT_OF_NINE_TENTHS = 2.1972246


def one_voxel(*logits: float) -> torch.Tensor:
    """(B=1, M, K=1, 1, 1)."""
    return torch.tensor(logits).reshape(1, -1, 1, 1, 1)


def here(*present: bool) -> torch.Tensor:
    return torch.tensor([present])


def test_the_maximum_takes_the_most_probable_sequence() -> None:
    united = unite(one_voxel(LOGIT_OF_NINE_TENTHS, 0.0), here(True, True))
    assert united.item() == pytest.approx(0.9)


def test_the_mean_is_of_probabilities_not_of_logits() -> None:
    united = unite(one_voxel(LOGIT_OF_NINE_TENTHS, 0.0), here(True, True), union="mean")
    assert united.item() == pytest.approx(0.7)


def test_a_vote_is_the_share_of_sequences_above_one_half() -> None:
    united = unite(one_voxel(0.1, 5.0, -1.0), here(True, True, True), union="vote")
    assert united.item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("union", ["max", "mean", "vote"])
def test_an_absent_sequence_changes_nothing(union: str) -> None:
    alone = unite(one_voxel(0.3), here(True), union=union)
    with_absent = unite(one_voxel(0.3, 9.0), here(True, False), union=union)
    assert with_absent.item() == pytest.approx(alone.item())


@pytest.mark.parametrize("union", ["max", "mean"])
def test_identical_masks_unite_to_themselves(union: str) -> None:
    united = unite(one_voxel(-0.7, -0.7, -0.7), here(True, True, True), union=union)
    assert united.item() == pytest.approx(1 / (1 + 2.718281828**0.7))


def test_without_a_present_sequence_the_probability_is_zero() -> None:
    assert unite(one_voxel(9.0), here(False)).item() == 0.0


@pytest.mark.parametrize("union", ["max", "mean"])
def test_the_fused_logits_of_a_loss_equal_the_union(union: str) -> None:
    logits = torch.randn(2, 3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    present = torch.tensor([[True, True, False], [True, False, True]])
    probabilities = torch.sigmoid(fused_logits(logits, present, union=union))
    torch.testing.assert_close(probabilities, unite(logits, present, union=union))


def test_an_unknown_union_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="max, mean, vote"):
        unite(one_voxel(0.0), here(True), union="maximum")


def test_a_voxel_goes_to_its_most_probable_label() -> None:
    probabilities = torch.tensor([[0.6, 0.2, 0.9], [0.7, 0.3, 0.1]])
    assert label_indices(probabilities).tolist() == [2, 0, 1]


def test_a_label_at_the_threshold_does_not_count() -> None:
    assert label_indices(torch.tensor([[0.5, 0.51]])).tolist() == [0, 1]
