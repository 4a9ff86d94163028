"""Training on images: the loss by hand, the schedule, and the weights that are kept."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import nn

from zeus_app.errors import InputError
from zeus_app.images2d.image_set import ImageSet
from zeus_app.images2d.pixels import Classes
from zeus_app.images2d.training import (
    ImageRecipe,
    ImageTrainer,
    Validation,
    bce_dice,
    best_of,
    labels_of,
)

CPU = torch.device("cpu")


def bright_squares(count: int) -> ImageSet:
    labels = np.zeros((count, 16, 16), np.uint8)
    labels[:, 4:12, 4:12] = 1
    pixels = np.repeat(labels[..., None] * 200, 3, axis=3).astype(np.uint8)
    return ImageSet(tuple(map(str, range(count))), pixels, labels, Classes())


class Trainings:
    """A trainer of a 1×1 convolution, and what it saved and reported."""

    def __init__(self, recipe: ImageRecipe, *, validation: int = 2) -> None:
        torch.manual_seed(0)
        self.saved: list[dict[str, torch.Tensor]] = []
        self.reported: list[tuple[str, int, int]] = []
        self.trainer = ImageTrainer(
            nn.Conv2d(3, 1, 1),
            train=bright_squares(6),
            validation=bright_squares(validation) if validation else None,
            recipe=recipe,
            device=CPU,
            save=self._save,
            report=lambda *what: self.reported.append(what),
        )

    def _save(self, state: Mapping[str, torch.Tensor]) -> None:
        self.saved.append({name: tensor.clone() for name, tensor in state.items()})


def test_the_loss_is_half_bce_plus_dice() -> None:
    logits, masks = torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 0.0]]]])
    # BCE of p = 0.5 is ln 2; Dice is 2 · 0.5 / (1 + 1) = 0.5.
    assert bce_dice(logits, masks).item() == pytest.approx(0.5 * math.log(2) + 0.5, abs=1e-4)


def test_a_right_empty_mask_has_no_dice_loss() -> None:
    assert bce_dice(torch.full((1, 1, 4, 4), -40.0), torch.zeros(1, 1, 4, 4)).item() < 1e-4


def test_the_likeliest_class_above_half_is_taken() -> None:
    probabilities = torch.tensor([[[0.9, 0.4, 0.6]], [[0.1, 0.4, 0.8]]])
    assert labels_of(probabilities).tolist() == [[1, 0, 2]]


def test_it_learns() -> None:
    runs = Trainings(ImageRecipe(epochs=40, batch=2, learning_rate=0.5))
    assert (runs.trainer.fit().dsc or 0) > 0.9


def test_an_epoch_leaves_out_images_that_fill_no_batch() -> None:
    runs = Trainings(ImageRecipe(epochs=3, batch=4))
    assert runs.trainer.steps_per_epoch == 1
    runs.trainer.fit()
    assert runs.reported[-1] == ("training, steps", 3, 3)


def test_a_batch_may_be_larger_than_the_training_set() -> None:
    assert Trainings(ImageRecipe(epochs=1, batch=99)).trainer.fit().step == 1


def test_a_time_limit_ends_the_training() -> None:
    runs = Trainings(ImageRecipe(epochs=1, seconds=0.2, batch=2))
    runs.trainer.fit()
    assert runs.trainer.course[-1].step > 3
    assert runs.reported[-1] == ("training, seconds", 1, 1)


def test_the_last_weights_are_saved_without_validation() -> None:
    runs = Trainings(ImageRecipe(epochs=2, batch=2), validation=0)
    assert runs.trainer.fit().dsc is None
    last = runs.trainer.network.state_dict()
    assert torch.equal(runs.saved[-1]["weight"], last["weight"])


def test_the_best_row_is_the_last_of_equals() -> None:
    rows = [Validation(step, 0, 0, iou, iou) for step, iou in enumerate([0.5, 0.7, 0.7, 0.6])]
    assert best_of(rows).step == 2


def test_a_training_is_the_same_for_the_same_seed() -> None:
    recipe = ImageRecipe(epochs=3, batch=2)
    first, second = Trainings(recipe), Trainings(recipe)
    assert first.trainer.fit().loss == second.trainer.fit().loss


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    runs = Trainings(ImageRecipe(epochs=1, batch=2))
    for parameter in runs.trainer.network.parameters():
        nn.init.constant_(parameter, math.nan)
    with pytest.raises(InputError, match="--learning-rate"):
        runs.trainer.fit()


def test_frozen_parameters_stay_as_they_are() -> None:
    runs = Trainings(ImageRecipe(epochs=2, batch=2, learning_rate=1))
    frozen = runs.trainer.network.get_parameter("bias").requires_grad_(False)
    before = frozen.clone()
    runs.trainer.fit()
    assert torch.equal(frozen, before)
