"""Augmentation in training: the pictures, embeddings and masks of a slice move together."""

from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
import torch

from zeus_app.training.augment import (
    drop_sequences,
    hide_embeddings,
    random_affine,
    random_intensity,
)


class Draws:
    """Draws the same numbers in [-1, 1] for every slice, or for every picture of a slice.

    A transform takes turn, scale, shift across and along; a picture brightness, contrast and gamma.
    """

    def __init__(self, *values: float) -> None:
        self.values = values

    def uniform(self, low: float, high: float, size: tuple[int, ...]) -> npt.NDArray[np.float64]:
        return np.tile(self.values, (*size[:-1], 1))


def draws(*values: float) -> np.random.Generator:
    return cast(np.random.Generator, Draws(*values))


def squares(*, size: int) -> torch.Tensor:
    """(2, 1, size, size), 1 in the same square an eighth of the picture wide; off the middle."""
    pictures = torch.zeros(2, 1, size, size)
    pictures[..., size // 2 : size * 5 // 8, size // 4 : size * 3 // 8] = 1
    return pictures


def a_batch() -> dict[str, torch.Tensor]:
    embeddings = squares(size=64)[:, :, None].repeat(1, 2, 3, 1, 1).half()  # (B, M, C, 64, 64)
    present = torch.ones(2, 2, dtype=torch.bool)
    return {"present": present, "embeddings": embeddings, "pixels": squares(size=256).half()}


def middle(picture: torch.Tensor) -> tuple[float, float]:
    rows, cols = np.nonzero(picture.numpy() > 0.5)
    return float(rows.mean()), float(cols.mean())


def test_nothing_moves_without_strength() -> None:
    batch, masks = a_batch(), squares(size=256).bool()
    same, same_masks = random_affine(batch, masks, strength=0, rng=np.random.default_rng(0))
    assert torch.equal(same_masks, masks)
    for name, value in batch.items():
        assert torch.allclose(same[name].to(value.dtype), value, atol=1e-3)


def test_a_shift_of_a_twentieth_moves_a_256_px_picture_by_thirteen() -> None:
    masks = squares(size=256).bool()
    _, moved = random_affine({}, masks, strength=1, rng=draws(0, 0, 1, 0))
    (row, col), (before_row, before_col) = middle(moved[0, 0]), middle(masks[0, 0])
    assert row == before_row
    assert col == pytest.approx(before_col - 12.8, abs=0.5)


def test_a_turn_goes_round_the_pictures_middle() -> None:
    masks = squares(size=256).bool()
    _, moved = random_affine({}, masks, strength=1, rng=draws(1, 0, 0, 0))
    (row, col), (before_row, before_col) = middle(moved[1, 0]), middle(masks[1, 0])
    arm, turned = (np.array(point) - 127.5 for point in ((before_row, before_col), (row, col)))
    assert np.linalg.norm(turned) == pytest.approx(np.linalg.norm(arm), abs=0.7)
    cosine = arm @ turned / np.linalg.norm(arm) / np.linalg.norm(turned)
    assert np.arccos(cosine) == pytest.approx(0.15, abs=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_embeddings_pixels_and_masks_of_a_slice_move_as_one(seed: int) -> None:
    batch, masks = a_batch(), squares(size=256).bool()
    moved, moved_masks = random_affine(batch, masks, strength=1, rng=np.random.default_rng(seed))
    for b in range(2):
        row, col = middle(moved_masks[b, 0])
        assert middle(moved["pixels"][b, 0]) == pytest.approx((row, col), abs=0.5)
        cell = middle(moved["embeddings"][b, 1, 2])
        assert (np.array(cell) * 4 + 1.5) == pytest.approx((row, col), abs=1.5)
    assert middle(moved_masks[0, 0]) != middle(moved_masks[1, 0])
    assert moved["present"] is batch["present"]


def test_equal_seeds_move_alike() -> None:
    first, second = (
        random_affine(a_batch(), squares(size=256).bool(), strength=1, rng=np.random.default_rng(7))
        for _ in range(2)
    )
    assert torch.equal(first[1], second[1])
    assert torch.equal(first[0]["embeddings"], second[0]["embeddings"])


def pixels(*values: float) -> dict[str, torch.Tensor]:
    """A batch of one slice with one picture of one row."""
    return {"pixels": torch.tensor(values).reshape(1, 1, 1, -1)}


@pytest.mark.parametrize(
    ("drawn", "tissue", "expected"),
    [
        ((1, 0, 0), (0.2, 0.4, 0.6), (0.3, 0.5, 0.7)),  # 0.1 brighter
        ((-1, 0, 0), (0.2, 0.4, 0.6), (0.1, 0.3, 0.5)),
        ((0, 1, 0), (0.2, 0.4, 0.6), (0.15, 0.4, 0.65)),  # 1.25 times as far from the mean, 0.4
        ((0, -1, 0), (0.2, 0.4, 0.6), (0.25, 0.4, 0.55)),  # 0.75 times as far
        ((0, 0, 1), (0.25, 0.36, 0.64), (0.125, 0.216, 0.512)),  # to the power of 3/2
        ((0, 0, -1), (0.125, 0.216, 0.512), (0.25, 0.36, 0.64)),  # to the power of 2/3
        ((1, 1, 0), (0.2, 0.6, 1.0), (0.2, 0.7, 1.0)),  # 1.2 is cut to 1
    ],
)
def test_tissue_gets_another_brightness_contrast_or_gamma_and_the_background_stays_0(
    drawn: tuple[float, ...], tissue: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    batch = random_intensity(pixels(0, *tissue), strength=1, rng=draws(*drawn))
    assert batch["pixels"].flatten().tolist() == pytest.approx([0, *expected], abs=1e-6)


def test_half_the_strength_changes_brightness_half_as_much() -> None:
    batch = random_intensity(pixels(0, 0.2, 0.4), strength=0.5, rng=draws(1, 0, 0))
    assert batch["pixels"].flatten().tolist() == pytest.approx([0, 0.25, 0.45], abs=1e-6)


def test_each_picture_of_a_slice_changes_on_its_own_and_equal_seeds_change_it_alike() -> None:
    pictures = {"pixels": torch.full((2, 3, 4, 4), 0.5, dtype=torch.float16)}
    first, second = (
        random_intensity(pictures, strength=1, rng=np.random.default_rng(3))["pixels"]
        for _ in range(2)
    )
    assert torch.equal(first, second)
    assert len(np.unique(first[..., 0, 0].numpy())) == 6


def test_an_empty_picture_stays_empty() -> None:
    batch = random_intensity(pixels(0, 0, 0), strength=1, rng=draws(1, 1, 1))
    assert batch["pixels"].flatten().tolist() == [0, 0, 0]


def test_a_batch_of_embeddings_alone_stays_as_it_is_and_draws_nothing() -> None:
    batch = {"embeddings": torch.ones(2, 1, 3, 4, 4)}
    rng, untouched = np.random.default_rng(0), np.random.default_rng(0)
    assert random_intensity(batch, strength=1, rng=rng) is batch
    assert rng.random() == untouched.random()


def test_neighbouring_slices_of_a_picture_change_alike() -> None:
    pictures = {"pixels": torch.full((1, 2, 3, 4, 4), 0.5)}
    changed = random_intensity(pictures, strength=1, rng=np.random.default_rng(3))["pixels"]
    values = changed[0, :, :, 0, 0]  # (C, N)
    assert values[:, 0].tolist() == values[:, 1].tolist() == values[:, 2].tolist()
    assert values[0, 0] != values[1, 0]


def present_after(share: float, *present: bool, seed: int = 0) -> list[list[bool]]:
    batch = {"present": torch.tensor([present] * 200)}
    dropped = drop_sequences(batch, share=share, rng=np.random.default_rng(seed))
    assert batch["present"].tolist() == [list(present)] * 200  # the input stays
    rows: list[list[bool]] = dropped["present"].tolist()
    return rows


def test_every_slice_keeps_a_sequence_and_none_gains_one() -> None:
    rows = present_after(1, True, False, True, True)
    assert all(any(row) and not row[1] for row in rows)
    assert all(sum(row) < 3 for row in rows)
    assert {tuple(row) for row in rows} == {
        (True, False, False, False), (False, False, True, False), (False, False, False, True),
        (True, False, True, False), (True, False, False, True), (False, False, True, True),
    }  # fmt: skip


def test_half_the_slices_lose_sequences_at_a_share_of_one_half() -> None:
    whole = sum(all(row) for row in present_after(0.5, True, True))
    assert 75 < whole < 125


def test_a_slice_with_one_sequence_keeps_it() -> None:
    assert present_after(1, False, True) == [[False, True]] * 200


def test_half_the_slices_are_read_from_pixels_alone_at_a_share_of_one_half() -> None:
    batch = {"embeddings": torch.ones(400, 1, 2, 3, 3), "pixels": torch.ones(400, 1, 6, 6)}
    hidden = hide_embeddings(batch, share=0.5, rng=np.random.default_rng(0))
    by_slice = hidden["embeddings"].flatten(1)
    assert set(by_slice.flatten().tolist()) == {0, 1}
    assert ((by_slice == 0).all(dim=1) | (by_slice == 1).all(dim=1)).all()
    assert 160 < int((by_slice == 0).all(dim=1).sum()) < 240
    assert hidden["pixels"] is batch["pixels"]
    assert batch["embeddings"].all()  # the input stays


def test_embeddings_are_never_hidden_from_a_model_without_pixels() -> None:
    batch = {"embeddings": torch.ones(4, 1, 2, 3, 3)}
    assert hide_embeddings(batch, share=1, rng=np.random.default_rng(0)) is batch
