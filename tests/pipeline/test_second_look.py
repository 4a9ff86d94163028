"""The second look: which parts are drawn again, where, and for which labels."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
import torch

from zeus_app.pipeline.second_look import (
    SecondLook,
    evenly,
    exclusive,
    labels_that_gain,
    redraw,
    structures,
)
from zeus_app.prompts.decoder import PromptDecoder
from zeus_app.prompts.types import BoxPx
from zeus_app.protocols import Batch, Prepared
from zeus_app.training.cases import make_case
from zeus_app.types import FloatArray

CPU = torch.device("cpu")
SURE = 9.0


class FillsBoxes:
    """A decoder that fills each box, with the sign of the embedding's first number."""

    def __init__(self) -> None:
        self.boxes: list[BoxPx] = []
        self.passes: list[int] = []  # boxes of each pass

    def to(self, device: torch.device) -> "FillsBoxes":
        return self

    def __call__(self, embeddings: torch.Tensor, boxes: Sequence[BoxPx]) -> torch.Tensor:
        self.boxes += boxes
        self.passes.append(len(boxes))
        logits = torch.full((len(boxes), 256, 256), -SURE)
        for logit, embedding, (left, top, right, bottom) in zip(
            logits, embeddings, boxes, strict=True
        ):
            sign = float(torch.sign(embedding[0, 0, 0]))
            logit[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = sign * SURE
        return logits


def filler() -> PromptDecoder:
    return cast(PromptDecoder, FillsBoxes())


def squares(*places: tuple[int, int, int, int]) -> torch.Tensor:
    """(1, 2, 256, 256) masks; each place is (label, row, column, edge)."""
    masks = torch.zeros(1, 2, 256, 256, dtype=torch.bool)
    for label, row, col, edge in places:
        masks[0, label, row : row + edge, col : col + edge] = True
    return masks


def embeddings(*signs: float) -> FloatArray:
    return np.stack([np.full((256, 64, 64), sign, np.float16) for sign in signs])


class PositiveStudy:
    """Three slices of one sequence, whose embeddings make the decoder fill its boxes."""

    present = np.ones((3, 1), bool)
    instructions = ()

    @property
    def inputs(self) -> "PositiveStudy":
        return self

    def batch(self, slices: Sequence[int]) -> Batch:
        return {}

    def embedding(self, sequence: int, s: int) -> FloatArray:
        return cast(FloatArray, embeddings(1)[0])


def test_each_connected_part_of_a_label_has_a_box_two_pixels_wider() -> None:
    found, _ = structures(squares((0, 10, 20, 9), (0, 100, 20, 9), (1, 50, 60, 8)).numpy())
    assert [(part.label, part.box) for part in found] == [
        (0, (18, 8, 30, 20)),
        (0, (18, 98, 30, 110)),
        (1, (58, 48, 69, 59)),
    ]


def test_a_part_of_less_than_two_cells_of_the_embedding_is_left_as_it_is() -> None:
    masks = squares((0, 10, 20, 7)).numpy()
    found, left = structures(masks)
    assert not found
    np.testing.assert_array_equal(left, masks)


def test_only_the_four_largest_parts_of_a_label_on_a_slice_are_drawn_again() -> None:
    edges = (9, 14, 10, 13, 11, 12)
    found, left = structures(
        squares(*((0, 30 * i, 20, edge) for i, edge in enumerate(edges))).numpy()
    )
    assert [part.box[2] - part.box[0] for part in found] == [17, 16, 15, 14]
    np.testing.assert_array_equal(left, squares((0, 0, 20, 9), (0, 60, 20, 10)).numpy())


def test_masks_are_drawn_inside_their_boxes_alone() -> None:
    drawn, _ = redraw(
        filler(), squares((1, 50, 60, 10)).numpy(), lambda row: embeddings(1), device=CPU
    )
    expected = squares((1, 48, 58, 14))
    assert torch.equal(drawn > 0.5, expected)


def test_on_a_cpu_two_parts_at_a_time_are_drawn_so_that_a_pass_needs_little_memory() -> None:
    decoder, masks = FillsBoxes(), squares((0, 20, 20, 10), (0, 60, 20, 10), (1, 20, 90, 10))
    redraw(cast(PromptDecoder, decoder), masks.numpy(), lambda row: embeddings(1, 1), device=CPU)
    assert decoder.passes == [4, 2]  # two parts in each of two sequences, then the third part


def test_sequences_that_contradict_each_other_give_one_half() -> None:
    masks = squares((0, 50, 60, 10)).numpy()
    drawn, _ = redraw(filler(), masks, lambda row: embeddings(1, -1), device=CPU)
    assert drawn[0, 0, 55, 65].item() == 0.5


def test_labels_compete_before_they_are_drawn_again() -> None:
    logits = torch.tensor([[[[2.0, 1.0, -1.0]], [[1.0, 3.0, -2.0]]]])
    assert exclusive(logits).tolist() == [[[[True, False, False]], [[False, True, False]]]]


def test_a_label_gains_if_its_second_masks_are_at_least_as_good() -> None:
    truth = squares((0, 10, 10, 10), (1, 50, 50, 10))
    better_in_the_first = squares((0, 10, 10, 10), (1, 50, 50, 5))
    first = squares((0, 10, 10, 5), (1, 50, 50, 9))
    assert labels_that_gain(first, better_in_the_first, truth).tolist() == [True, False]


def test_a_label_that_no_slice_shows_is_not_drawn_again() -> None:
    nothing = squares()
    assert labels_that_gain(nothing, nothing, nothing).tolist() == [False, False]


def test_slices_are_taken_evenly() -> None:
    assert evenly([2, 4, 6, 8, 10], 3) == [2, 6, 10]
    assert evenly([5], 3) == [5]


def test_only_the_chosen_labels_change_to_the_mean_of_both_looks() -> None:
    logits = torch.full((1, 2, 256, 256), -SURE)
    logits[0, 0, 50:60, 60:70] = SURE
    logits[0, 1, 90:99, 60:70] = SURE
    study, chosen = PositiveStudy(), torch.tensor([True, False])
    drawn = SecondLook(filler(), chosen, CPU).draw(study, [2], logits)
    assert torch.equal(drawn[:, 1], logits[:, 1])
    probabilities = torch.sigmoid(drawn[0, 0])
    assert probabilities[55, 65].item() == pytest.approx(1, abs=1e-3)  # in both looks
    assert probabilities[49, 65].item() == pytest.approx(0.5, abs=1e-3)  # in the margin of the box
    assert probabilities[10, 10].item() == pytest.approx(0, abs=1e-3)
    small = torch.full((1, 2, 256, 256), -SURE)
    small[0, 0, 50:57, 60:67] = SURE
    assert torch.equal(SecondLook(filler(), chosen, CPU).draw(study, [2], small) > 0, small > 0)
    untouched = SecondLook(filler(), torch.zeros(2, dtype=torch.bool), CPU)
    assert untouched.draw(study, [2], logits) is logits


def test_a_label_is_chosen_if_the_second_look_does_not_make_its_masks_worse() -> None:
    truth = np.zeros((3, 3, 256, 256), np.uint8)
    truth[2, 0, 50:90, 50:90] = 1
    truth[2, 1, 100:140, 50:90] = 1
    case = make_case("a", cast(Prepared, PositiveStudy()), truth)
    logits = torch.full((1, 3, 256, 256), -SURE - 3)
    logits[0, 0, 50:90:2, 50:90] = 1  # every other row: the filler fills the gaps
    logits[0, 0, 51:89:2, 50:90] = -1
    logits[0, 0, 50:90, 50] = 1
    logits[0, 1] = -0.1  # unsure outside: the filler's margin tips the balance
    logits[0, 1, 100:140, 50:90] = 1
    labels = torch.zeros(3, dtype=torch.bool)
    SecondLook(filler(), labels, CPU).choose([case], lambda study, slices: logits)
    assert labels.tolist() == [True, False, False]
