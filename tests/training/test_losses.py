"""The loss asks the union to be whole, and little of each sequence."""

import math

import pytest
import torch

from zeus_app.training.losses import UnionLoss

SURE = 12.0
TRUTH = torch.tensor([[[[1, 1], [0, 0]]]])
BOTH = torch.tensor([[True, True]])


def halves() -> torch.Tensor:
    """Two sequences, each sure of one half of the truth and of nothing else."""
    first = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    second = torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    return ((torch.stack([first, second]) * 2 - 1) * SURE)[None, :, None]


def test_halves_that_unite_to_the_truth_cost_nothing_without_the_sequence_term() -> None:
    loss = UnionLoss(sequence_weight=0, union="max")
    assert loss(halves(), BOTH, TRUTH)[0].item() == pytest.approx(0, abs=1e-4)


def test_the_sequence_term_is_scaled_by_its_weight() -> None:
    own = UnionLoss(sequence_weight=1, union="max")(halves(), BOTH, TRUTH)[0].item()
    small = UnionLoss(sequence_weight=0.1, union="max")(halves(), BOTH, TRUTH)[0].item()
    assert small == pytest.approx(own / 10, abs=1e-4)
    # By hand: Dice loss 1 - 2/3 of one voxel of two, BCE of one wrong voxel in four.
    assert own == pytest.approx(1 / 3 + SURE / 4, abs=1e-3)


def test_the_unions_own_part_is_told_apart() -> None:
    _, union = UnionLoss(sequence_weight=1, union="max")(halves(), BOTH, TRUTH)
    assert union.item() == pytest.approx(0, abs=1e-4)


def test_an_unsure_answer_costs_a_half_and_the_logarithm_of_two() -> None:
    loss = UnionLoss(sequence_weight=0, union="max")
    # Dice 2·(2·0.5) / (4·0.5 + 2) = 0.5; cross entropy ln 2.
    expected = 0.5 + math.log(2)
    assert loss(torch.zeros(1, 1, 1, 2, 2), BOTH[:, :1], TRUTH)[0].item() == pytest.approx(
        expected, abs=1e-4
    )


def test_an_absent_sequence_is_not_punished() -> None:
    loss = UnionLoss(sequence_weight=1, union="max")
    only_first = torch.tensor([[True, False]])
    logits = halves()
    wrong = logits.clone()
    wrong[:, 1] = SURE
    assert loss(wrong, only_first, TRUTH)[0].item() == loss(logits, only_first, TRUTH)[0].item()
