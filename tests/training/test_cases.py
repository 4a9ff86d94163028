"""Slices are drawn as asked, and masks survive their packing."""

import numpy as np
import pytest

from tests.training.conftest import SIZE, tiny_case
from zeus_app.training.cases import (
    Case,
    collate,
    draw_batches,
    draw_weights,
    has_small_structures,
    make_case,
)


def test_masks_come_out_as_they_went_in() -> None:
    masks = np.random.default_rng(0).integers(0, 2, (3, 2, SIZE, SIZE), np.uint8)
    case = make_case("a", tiny_case("a", slices=3).prepared, masks)
    assert np.array_equal(case.masks([2, 0]).numpy(), masks[[2, 0]].astype(bool))


def test_without_a_foreground_share_an_epoch_is_every_slice_once() -> None:
    cases = [tiny_case("a", slices=5), tiny_case("b", slices=4)]
    rng = np.random.default_rng(0)
    batches = list(draw_batches(cases, size=4, foreground=0, rng=rng))
    assert [len(batch) for batch in batches] == [4, 4, 1]
    picks = sorted(pick for batch in batches for pick in batch)
    assert picks == [(0, s) for s in range(5)] + [(1, s) for s in range(4)]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_the_foreground_share_holds_on_average(share: float) -> None:
    case = tiny_case("a", slices=2000)  # its first half shows the label
    rng = np.random.default_rng(0)
    picks = [
        s for batch in draw_batches([case], size=10, foreground=share, rng=rng) for _, s in batch
    ]
    assert np.mean(np.array(picks) < 1000) == pytest.approx(share, abs=0.04)


def test_slices_without_tissue_are_never_drawn() -> None:
    case = tiny_case("a")
    case.prepared.present[[1, 4]] = False
    assert case.tissue_slices == [0, 2, 3, 5]


def test_a_batch_joins_slices_of_several_studies() -> None:
    cases = [tiny_case("a", seed=1), tiny_case("b", seed=2)]
    batch, masks = collate(cases, [(1, 0), (0, 5)])
    assert np.array_equal(batch["pixels"][0], cases[1].prepared.batch([0])["pixels"][0])
    assert np.array_equal(batch["pixels"][1], cases[0].prepared.batch([5])["pixels"][0])
    assert [bool(mask.any()) for mask in masks] == [True, False]


def test_slices_with_a_label_share_their_part_of_the_draws_equally() -> None:
    weights = draw_weights(np.array([True, True, False, False, False]), 0.7)
    assert weights is not None
    assert weights == pytest.approx([0.35, 0.35, 0.1, 0.1, 0.1])


@pytest.mark.parametrize(
    ("shows", "foreground"), [([True, False], 0), ([True, True], 0.7), ([False, False], 0.7)]
)
def test_without_both_kinds_of_slices_or_a_share_all_slices_are_equally_likely(
    shows: list[bool], foreground: float
) -> None:
    assert draw_weights(np.array(shows), foreground) is None


def squares(*edges: int) -> Case:
    """One slice with squares of these edges, apart from each other."""
    masks = np.zeros((1, 1, 64, 64), np.uint8)
    for number, edge in enumerate(edges):
        masks[0, 0, 12 * number : 12 * number + edge, :edge] = 1
    return make_case("a", tiny_case("a", slices=1).prepared, masks)


def test_structures_are_small_if_half_of_them_lie_below_8_by_8_pixels() -> None:
    assert has_small_structures([squares(7, 7, 10)])
    assert not has_small_structures([squares(7, 8, 10)])
    assert not has_small_structures([squares(8)])
    assert not has_small_structures([squares()])
