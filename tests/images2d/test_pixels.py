"""Pixels of images, and what masks mean by their grey values."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.images2d.painted import HEIGHT, WIDTH, grey_image, square_mask, write
from zeus_app.errors import InputError
from zeus_app.images2d.pixels import Classes, normalised, read_grey, read_pair, read_pixels

ONE = Classes()
SQUARE = square_mask(1)


def read(path: Path, classes: Classes = ONE) -> list[list[int]]:
    labels: list[list[int]] = classes.read(path).tolist()
    return labels


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.bmp"])
def test_a_grey_image_is_repeated_in_three_channels(name: str, tmp_path: Path) -> None:
    pixels = read_pixels(write(tmp_path / name, grey_image()))
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.array_equal(pixels[..., 2], grey_image())


def test_a_colour_image_keeps_its_colours(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (4, 5, 3)).astype(np.uint8)
    assert np.array_equal(read_pixels(write(tmp_path / "a.png", colours)), colours)


def test_transparency_is_dropped(tmp_path: Path) -> None:
    pixels = np.full((4, 5, 4), 9, np.uint8)
    assert np.array_equal(read_pixels(write(tmp_path / "a.png", pixels)), pixels[..., :3])


def test_sixteen_bits_are_scaled_from_minimum_to_maximum(tmp_path: Path) -> None:
    values = np.array([[1000, 3000], [2000, 1000]], np.uint16)
    pixels = read_pixels(write(tmp_path / "a.tif", values))
    assert pixels[..., 0].tolist() == [[0, 255], [128, 0]]


def test_a_constant_image_of_sixteen_bits_is_black(tmp_path: Path) -> None:
    assert not read_pixels(write(tmp_path / "a.tif", np.full((2, 2), 700, np.uint16))).any()


def test_pixels_are_normalised_as_those_of_imagenet() -> None:
    values = normalised(np.array([[[124, 116, 104]]], np.uint8))
    expected = [
        (124 / 255 - 0.485) / 0.229,
        (116 / 255 - 0.456) / 0.224,
        (104 / 255 - 0.406) / 0.225,
    ]
    np.testing.assert_allclose(values[0, 0], expected, rtol=1e-4)


@pytest.mark.parametrize("value", [1, 2, 38, 128, 255])
def test_the_only_value_of_a_mask_is_its_foreground(value: int, tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.png", square_mask(value))) == SQUARE.tolist()


def test_a_mask_of_one_bit_is_read(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.png", square_mask(1) > 0)) == SQUARE.tolist()


def test_a_mask_of_sixteen_bits_is_read(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.tif", square_mask(65535, np.uint16))) == SQUARE.tolist()


def test_an_empty_mask_is_background(tmp_path: Path) -> None:
    assert not ONE.read(write(tmp_path / "a.png", square_mask(0))).any()


def test_soft_edges_of_a_mask_are_cut_at_half(tmp_path: Path) -> None:
    mask = np.tile(np.arange(256, dtype=np.uint8), (3, 1))
    labels = ONE.read(write(tmp_path / "a.png", mask))
    assert labels[0].argmax() == 128


def test_a_jpeg_mask_is_cut_at_half(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", square_mask(255), quality=60)
    labels = ONE.read(path)
    assert np.array_equal(labels[5:11, 7:13], np.ones((6, 6)))
    assert labels.sum() <= 100


def test_the_noise_of_an_empty_jpeg_mask_is_background(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 8, (HEIGHT, WIDTH)).astype(np.uint8)
    assert not ONE.read(write(tmp_path / "a.jpg", noise)).any()


@pytest.mark.parametrize("values", [(1, 2), (1, 30), (85, 170), (100, 255)])
def test_several_classes_are_refused_unless_they_are_named(
    values: tuple[int, int], tmp_path: Path
) -> None:
    mask = square_mask(values[0])
    mask[20:28, 20:30] = values[1]
    path = write(tmp_path / "a.png", mask)
    with pytest.raises(InputError, match=f"--classes {values[0]},{values[1]}"):
        ONE.read(path)
    labels = Classes(values).read(path)
    assert (labels[5, 7], labels[21, 21], labels[0, 0]) == (1, 2, 0)


def test_named_classes_are_written_with_their_grey_values() -> None:
    labels = np.array([[0, 1, 2]], np.uint8)
    assert Classes((85, 170)).grey(labels).tolist() == [[0, 85, 170]]
    assert ONE.grey(np.array([[0, 1]], np.uint8)).tolist() == [[0, 255]]


def palette_mask(path: Path, colours: list[int]) -> Path:
    picture = Image.fromarray(square_mask(1)).convert("P")
    picture.frombytes(square_mask(1).tobytes())
    picture.putpalette(colours)
    picture.save(path)
    return path


def test_a_palette_in_colour_is_read_by_its_numbers(tmp_path: Path) -> None:
    path = palette_mask(tmp_path / "a.png", [0, 0, 0, 128, 0, 0])
    assert read_grey(path).tolist() == SQUARE.tolist()


def test_a_grey_palette_is_read_by_its_shades(tmp_path: Path) -> None:
    path = palette_mask(tmp_path / "a.png", [255, 255, 255, 0, 0, 0])
    assert np.asarray(read_grey(path))[0, 0] == 255


def test_a_mask_in_colour_is_refused(tmp_path: Path) -> None:
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[..., 0] = 255
    with pytest.raises(InputError, match="is in colour"):
        ONE.read(write(tmp_path / "a.png", colours))


def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    image = write(tmp_path / "a.png", grey_image())
    mask = write(tmp_path / "a_mask.png", np.zeros((10, 20), np.uint8))
    with pytest.raises(InputError, match=r"20×10 pixels, and its image a\.png 40×32"):
        read_pair(image, [mask], ONE)


def test_several_masks_of_an_image_are_united(tmp_path: Path) -> None:
    other = np.zeros((HEIGHT, WIDTH), np.uint8)
    other[20, 30] = 255
    masks = [write(tmp_path / "1.png", square_mask()), write(tmp_path / "2.png", other)]
    _, labels = read_pair(write(tmp_path / "a.png", grey_image()), masks, ONE)
    assert labels.sum() == 65


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n broken"])
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png cannot be read"):
        read_pixels(tmp_path / "a.png")


def test_a_file_of_several_images_is_refused(tmp_path: Path) -> None:
    frames: list[Any] = [Image.fromarray(grey_image(i)) for i in range(2)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match="holds 2 images"):
        read_pixels(tmp_path / "a.tif")
