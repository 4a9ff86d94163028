"""Uniting sequences: worked out by hand on one voxel."""

import pytest
import torch

from zeus_app.errors import UnknownNameError
from zeus_app.models.fusion import PlainUnion, WeightedUnion, label_indices

LOGIT_OF_NINE_TENTHS = 2.1972246


def one_voxel(*logits: float) -> torch.Tensor:
    """(B=1, M, K=1, 1, 1)."""
    return torch.tensor(logits).reshape(1, -1, 1, 1, 1)


def unite(logits: torch.Tensor, present: torch.Tensor, *, union: str = "max") -> torch.Tensor:
    """The probability of the union."""
    return torch.sigmoid(PlainUnion(union).eval()(logits, present))


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


def test_a_training_replaces_the_vote_by_the_mean_which_has_a_gradient() -> None:
    vote, mean = PlainUnion("vote").train(), PlainUnion("mean")
    logits, present = one_voxel(0.1, 5.0, -1.0), here(True, True, True)
    assert torch.equal(vote(logits, present), mean(logits, present))


def test_the_gradient_of_the_maximum_reaches_the_most_probable_sequence_alone() -> None:
    logits = one_voxel(LOGIT_OF_NINE_TENTHS, 0.0).requires_grad_()
    torch.autograd.backward(PlainUnion("max")(logits, here(True, True)).sum())
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == [1.0, 0.0]


def test_learned_weights_begin_as_the_mean_of_logits_times_the_root_of_their_number() -> None:
    united = WeightedUnion(2, 1)(one_voxel(1.0, 3.0), here(True, True))
    assert united.item() == pytest.approx(2 * 2**0.5)


def test_a_learned_weight_moves_the_union_to_the_sequence_that_it_trusts() -> None:
    union = WeightedUnion(2, 1)
    with torch.no_grad():
        union.weights[1, 0] = 50.0
    united = union(one_voxel(1.0, 3.0), here(True, True))
    assert united.item() == pytest.approx(3 * 2**0.5, rel=1e-4)


def test_learned_weights_ignore_an_absent_sequence() -> None:
    union = WeightedUnion(2, 1)
    with torch.no_grad():
        union.weights[1, 0] = 50.0
    assert union(one_voxel(1.0, 3.0), here(True, False)).item() == pytest.approx(1.0)
    assert torch.sigmoid(union(one_voxel(9.0, 9.0), here(False, False))).item() == 0.0


def test_an_unknown_union_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="max, mean, vote"):
        unite(one_voxel(0.0), here(True), union="maximum")


def test_a_voxel_goes_to_its_most_probable_label() -> None:
    probabilities = torch.tensor([[0.6, 0.2, 0.9], [0.7, 0.3, 0.1]])
    assert label_indices(probabilities).tolist() == [2, 0, 1]


def test_a_label_at_the_threshold_does_not_count() -> None:
    assert label_indices(torch.tensor([[0.5, 0.51]])).tolist() == [0, 1]
