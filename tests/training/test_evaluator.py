"""A model is evaluated with the union and threshold that it is served with."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import SIZE, TinyPrepared, tiny_setup
from zeus_app.models.fusion import PlainUnion
from zeus_app.protocols import Batch, Decoded
from zeus_app.training.cases import Case, make_case
from zeus_app.training.evaluator import Evaluator

HALF = SIZE * SIZE // 2  # pixels


class Says:
    """A model of one branch that gives each label one logit, the same in the left half alone."""

    def __init__(self, *logits: float, dtype: torch.dtype = torch.float32) -> None:
        self.said, self.dtype = torch.tensor(logits), dtype

    def decode(self, batch: Batch, *, branches: bool = True) -> Decoded:
        logits = self.logits(batch)
        return Decoded(logits, PlainUnion("max")(logits, batch["present"]))

    def logits(self, batch: Batch) -> torch.Tensor:
        logits = torch.full((len(batch["present"]), 1, len(self.said), SIZE, SIZE), -20.0)
        logits[..., : SIZE // 2] = self.said[:, None, None]
        return logits.to(self.dtype)


def left_half(label: int, *, labels: int = 1, tissue: Sequence[bool] = (True, True)) -> Case:
    """The left half of every slice shows one label."""
    masks = np.zeros((len(tissue), labels, SIZE, SIZE), np.uint8)
    masks[:, label, :, : SIZE // 2] = 1
    pixels = np.zeros((len(tissue), 1, SIZE, SIZE), np.float32)
    return make_case("a", TinyPrepared(np.array(tissue)[:, None], pixels), masks)


def score(model: Says, case: Case, threshold: float = 0.5) -> float:
    setup = tiny_setup(Path("/nonexistent"), model, threshold=threshold)
    return Evaluator(setup, batch_slices=2).volume_dsc(case)


def test_a_right_answer_scores_one() -> None:
    assert score(Says(1.0), left_half(0)) == 1.0


@pytest.mark.parametrize(("threshold", "expected"), [(0.7, 1.0), (0.8, 0.0)])
def test_a_pixel_is_foreground_above_the_served_threshold(
    threshold: float, expected: float
) -> None:
    # A logit of 1 is a probability of 0.731.
    assert score(Says(1.0), left_half(0), threshold) == expected


def test_of_two_labels_above_the_threshold_the_likelier_is_predicted() -> None:
    # The second label wins everywhere. The first is absent from truth and prediction.
    assert score(Says(1.0, 2.0), left_half(1, labels=2)) == 1.0


def test_a_label_on_slices_without_tissue_is_missed() -> None:
    # Two of three slices are found: 2·2 / (2 + 3) halves of a slice.
    case = left_half(0, tissue=(True, False, True))
    assert score(Says(1.0), case) == pytest.approx(2 * 2 * HALF / (2 * HALF + 3 * HALF))


def test_chosen_slices_of_several_cases_are_scored_together() -> None:
    # The left half is predicted: right on one slice of the first case, missed on two of the other.
    found, missed = left_half(0), left_half(0, labels=1, tissue=(True, True, True))
    right_half = make_case("b", missed.prepared, np.flip(np.asarray(missed.masks([0, 1, 2])), -1))
    setup = tiny_setup(Path("/nonexistent"), Says(1.0))
    score = Evaluator(setup, batch_slices=2).slices_dsc([(found, [1]), (right_half, [0, 2])])
    assert score == pytest.approx(2 * HALF / (2 * HALF + 4 * HALF))


def test_probabilities_are_compared_in_float32_although_the_model_computes_in_bfloat16() -> None:
    # The sigmoid of 4.125 is 0.98409; bfloat16's nearest is 0.984375, above the threshold.
    assert score(Says(4.125, dtype=torch.bfloat16), left_half(0), threshold=0.9842) == 0.0


def test_the_label_map_holds_the_likeliest_label_of_each_pixel_of_slices_with_tissue() -> None:
    case = left_half(1, labels=2, tissue=(True, False, True))
    setup = tiny_setup(Path("/nonexistent"), Says(1.0, 2.0))
    labels = Evaluator(setup, batch_slices=1).label_map(case)
    second_label_on_the_left = np.repeat([[2, 0]], SIZE // 2, axis=1)
    assert labels.shape == (3, SIZE, SIZE)
    assert (labels[[0, 2]] == second_label_on_the_left).all()
    assert not labels[1].any()
