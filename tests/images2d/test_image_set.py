"""Images in memory: read in one size, turned with their masks, wrong ones left out on request."""

from pathlib import Path

import numpy as np
import pytest

from tests.images2d.painted import grey_image, square_mask, write, write_pairs
from zeus_app.errors import InputError
from zeus_app.images2d.files import find_images, match_masks
from zeus_app.images2d.image_set import ImageSet, read_images
from zeus_app.images2d.pixels import Classes


def read(folder: Path, *, skip_bad: bool = False) -> tuple[ImageSet, dict[str, str]]:
    pairs, _ = match_masks(find_images(folder / "images"), folder / "masks")
    return read_images(pairs, Classes(), edge=16, skip_bad=skip_bad)


def test_images_are_read_in_one_size(tmp_path: Path) -> None:
    images, skipped = read(write_pairs(tmp_path, 3))
    assert images.names == ("case0", "case1", "case2")
    assert images.pixels.shape == (3, 16, 16, 3)
    assert images.labels.shape == (3, 16, 16)
    assert skipped == {}


def test_a_batch_has_channels_first_and_a_mask_for_each_class() -> None:
    labels = np.array([[[0, 1], [2, 2]]], np.uint8)
    images = ImageSet(("a",), np.zeros((1, 2, 2, 3), np.uint8), labels, Classes((5, 9)))
    pixels, masks = images.batch([0, 0])
    assert pixels.shape == (2, 3, 2, 2)
    assert masks[0].tolist() == [[[0, 1], [0, 0]], [[0, 0], [1, 1]]]


def test_a_mask_is_turned_with_its_image() -> None:
    labels = np.random.default_rng(0).integers(0, 2, (1, 8, 8)).astype(np.uint8)
    pixels = np.repeat(labels[..., None] * 255, 3, axis=3).astype(np.uint8)
    images = ImageSet(("a",), pixels, labels, Classes())
    turned = set()
    for seed in range(8):
        batch, masks = images.batch([0], np.random.default_rng(seed))
        assert np.array_equal((batch[0, 0] > 0).numpy(), masks[0, 0].bool().numpy())
        turned.add(masks.numpy().tobytes())
    assert len(turned) > 2


def test_chosen_images_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    images, _ = read(write_pairs(tmp_path, 3))
    chosen = images.chosen(["case2", "case0"])
    assert np.array_equal(chosen.pixels, images.pixels[[2, 0]])


def test_a_wrong_mask_is_refused_or_left_out_with_the_reason(tmp_path: Path) -> None:
    write_pairs(tmp_path, 3)
    write(tmp_path / "masks" / "case1_mask.png", square_mask()[:5])
    with pytest.raises(InputError, match="case1_mask"):
        read(tmp_path)
    images, skipped = read(tmp_path, skip_bad=True)
    assert images.names == ("case0", "case2")
    assert "40×5 pixels" in skipped["case1"]


def test_without_one_good_image_there_is_nothing_to_learn(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png", grey_image())
    write(tmp_path / "masks" / "a.png", square_mask()[:5])
    with pytest.raises(InputError, match="none of which can be used"):
        read(tmp_path, skip_bad=True)
