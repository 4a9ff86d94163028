"""The loss asks the union to be whole, and little of each sequence."""

import math

import pytest
import torch

from zeus_app.models.fusion import PlainUnion
from zeus_app.protocols import Decoded
from zeus_app.training.losses import UnionLoss, positive_weight

SURE = 12.0
TRUTH = torch.tensor([[[[1, 1], [0, 0]]]])
BOTH = torch.tensor([[True, True]])


def united(logits: torch.Tensor, present: torch.Tensor = BOTH) -> Decoded:
    return Decoded(logits, PlainUnion("max")(logits, present[:, : logits.shape[1]]))


def halves() -> torch.Tensor:
    """Two sequences, each sure of one half of the truth and of nothing else."""
    first = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    second = torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    return ((torch.stack([first, second]) * 2 - 1) * SURE)[None, :, None]


def test_halves_that_unite_to_the_truth_cost_nothing_without_the_sequence_term() -> None:
    loss = UnionLoss(sequence_weight=0)
    assert loss(united(halves()), BOTH, TRUTH)[0].item() == pytest.approx(0, abs=1e-4)


def test_the_sequence_term_is_scaled_by_its_weight() -> None:
    full = UnionLoss(sequence_weight=1)(united(halves()), BOTH, TRUTH)[0].item()
    tenth = UnionLoss(sequence_weight=0.1)(united(halves()), BOTH, TRUTH)[0].item()
    assert tenth == pytest.approx(full / 10, abs=1e-4)
    # By hand: Dice loss 1 - 2/3 of one voxel of two, BCE of one wrong voxel in four.
    assert full == pytest.approx(1 / 3 + SURE / 4, abs=1e-3)


def test_the_unions_part_of_the_loss_is_returned_separately() -> None:
    _, union = UnionLoss(sequence_weight=1)(united(halves()), BOTH, TRUTH)
    assert union.item() == pytest.approx(0, abs=1e-4)


def test_an_unsure_answer_costs_a_half_and_the_logarithm_of_two() -> None:
    loss = UnionLoss(sequence_weight=0)
    # Dice 2·(2·0.5) / (4·0.5 + 2) = 0.5; cross entropy ln 2.
    expected = 0.5 + math.log(2)
    assert loss(united(torch.zeros(1, 1, 1, 2, 2)), BOTH[:, :1], TRUTH)[0].item() == pytest.approx(
        expected, abs=1e-4
    )


def test_an_absent_sequence_is_not_punished() -> None:
    loss = UnionLoss(sequence_weight=1)
    only_first = torch.tensor([[True, False]])
    logits = halves()
    wrong = logits.clone()
    wrong[:, 1] = SURE
    costs = [loss(united(x, only_first), only_first, TRUTH)[0].item() for x in (wrong, logits)]
    assert costs[0] == costs[1]


def test_the_few_voxels_of_a_label_get_their_share_of_the_weight() -> None:
    masks = torch.zeros(2, 3, 10, 10)
    masks[0, 0, 0, :4] = 1  # 4 of 200 voxels
    masks[:, 1, :5] = 1  # half of them
    weights = positive_weight(masks, 0.1).flatten().tolist()
    assert weights[0] * 4 / (weights[0] * 4 + 196) == pytest.approx(0.1)
    assert weights[1] == 1  # has more than its share already
    assert weights[2] >= 1  # a label that no slice shows


def test_balance_makes_a_missed_lesion_cost_more_than_a_false_one() -> None:
    small = torch.zeros(1, 1, 16, 16)
    small[..., 3, 3] = 1
    missed = united(torch.full((1, 1, 1, 16, 16), -SURE))
    plain = UnionLoss(sequence_weight=0)(missed, BOTH[:, :1], small)[0].item()
    balanced = UnionLoss(sequence_weight=0, balance=0.05)
    assert balanced(missed, BOTH[:, :1], small)[0].item() - 1 == pytest.approx(
        (plain - 1) * 0.05 / 0.95 * 255, rel=1e-3
    )
