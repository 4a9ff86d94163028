"""Steps follow their schedule, and learn small structures in a way of their own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import SIZE, TinyModel, tiny_case, tiny_setup
from zeus_app.settings.config import TrainConfig
from zeus_app.training.cases import Case, make_case
from zeus_app.training.steps import Steps


def square(edge: int) -> Case:
    """Slices whose label is a square of this edge."""
    masks = np.zeros((6, 1, SIZE, SIZE), np.uint8)
    masks[:3, 0, 2 : 2 + edge, 2 : 2 + edge] = 1
    return make_case("a", tiny_case("a").prepared, masks)


def loss_at(folder: Path, progress: float, case: Case) -> float:
    """The union's loss of one step of an untrained model at this progress of the training."""
    config = TrainConfig(balance_first=0.4, learning_rate=1e-9)
    steps = Steps(tiny_setup(folder, TinyModel()), [case], config)
    steps.follow_schedule(progress)
    loss = steps.train_step([(0, s) for s in range(6)], np.random.default_rng(0))
    assert loss is not None
    return loss


def test_small_structures_weigh_most_at_the_beginning_and_a_quarter_of_it_at_the_end(
    tmp_path: Path,
) -> None:
    first, middle, last = (loss_at(tmp_path, progress, square(4)) for progress in (0, 0.5, 1))
    assert first > middle > last
    # By hand: every pixel costs ln 2. 48 of 1536 pixels show the label; for a share of s each of
    # them weighs s / (1 - s) · 1488 / 48 times as much. The share is 0.4 first and 0.1 last.
    weights = (0.4 / 0.6 * 1488 / 48, 0.1 / 0.9 * 1488 / 48)
    costs = [np.log(2) * (1488 + 48 * weight) / 1536 for weight in weights]
    assert first - last == pytest.approx(costs[0] - costs[1], rel=1e-4)


def test_large_structures_weigh_the_same_all_the_time(tmp_path: Path) -> None:
    case = square(10)
    assert loss_at(tmp_path, 0, case) == pytest.approx(loss_at(tmp_path, 1, case))


@pytest.mark.parametrize(("limit", "expected"), [(0, 0.66), (0.01, 0.01)])
def test_a_gradient_longer_than_the_limit_is_scaled_down_to_it(
    tmp_path: Path, limit: float, expected: float
) -> None:
    model = TinyModel()
    steps = Steps(tiny_setup(tmp_path, model), [square(4)], TrainConfig(clip_gradient=limit))
    steps.train_step([(0, s) for s in range(6)], np.random.default_rng(0))
    gradients = [p.grad for p in model.trainable.parameters() if p.grad is not None]
    assert float(torch.nn.utils.get_total_norm(gradients)) == pytest.approx(expected, rel=0.01)
