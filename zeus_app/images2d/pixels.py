"""Pixels of 2-D images and of their masks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zeus_app.errors import InputError
from zeus_app.types import BoolArray, FloatArray, LabelArray

Pixels = npt.NDArray[np.uint8]  # (H, W, 3)
Grey = npt.NDArray[Any]  # (H, W), of any kind of number

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_SD = (0.229, 0.224, 0.225)
FOREGROUND = 255
"""Grey value of the only class in a mask that is written."""
_LOSSY = (".jpg", ".jpeg")
_MOST_INDEX = 32
"""A mask without larger values holds numbers of classes, not shades of grey."""
_ONE_SHADE = 16
"""Grey values that differ by less belong to one class: JPEG changes them a little."""
_CLASS_SHARE = 0.05
"""Share of a mask's pixels above 0 that makes a grey value a class, not the blurred edge of one."""


@dataclass(frozen=True)
class Classes:
    """What the masks show.

    Attributes:
        values: grey value of each class in the masks. Empty for one class: every pixel above half
            of the mask's range.
    """

    values: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """Number of classes, without the background."""
        return len(self.values) or 1

    @property
    def names(self) -> tuple[str, ...]:
        """Names for tables."""
        return tuple(f"class {value}" for value in self.values) or ("foreground",)

    def read(self, path: Path) -> LabelArray:
        """A mask as (H, W) uint8: 0 is the background, k the k-th class.

        Raises:
            InputError: the file is no mask, or has several classes that were not named.
        """
        grey = read_grey(path)
        if not self.values:
            return _foreground(grey, path).astype(np.uint8)
        labels = np.zeros(grey.shape, np.uint8)
        for number, value in enumerate(self.values, start=1):
            labels[grey == value] = number
        return labels

    def grey(self, labels: LabelArray) -> LabelArray:
        """Grey values to write, of labels as `read` returns them."""
        table = np.zeros(256, np.uint8)
        table[1 : self.count + 1] = self.values or FOREGROUND
        written: LabelArray = table[labels]
        return written


def read_pixels(path: Path) -> Pixels:
    """An image as (H, W, 3) uint8.

    More than 8 bits are scaled from the image's minimum to its maximum. Grey is repeated in the
    three channels; transparency is dropped.

    Raises:
        InputError: the file cannot be read, or holds several images.
    """
    with _opened(path) as picture:
        if picture.mode in ("F", "I") or picture.mode.startswith("I;16"):
            grey = _scaled(np.asarray(picture))
            return np.repeat(grey[..., None], 3, axis=2)
        pixels: Pixels = np.asarray(picture.convert("RGB"))
        return pixels


def read_grey(path: Path) -> Grey:
    """A mask's values as (H, W). Of a palette in colour these are the palette's numbers.

    Raises:
        InputError: the file cannot be read, holds several images, or is in colour.
    """
    with _opened(path) as picture:
        if picture.mode == "P" and not _is_grey(picture.convert("RGB")):
            return np.asarray(picture)
        if picture.mode in ("1", "L", "I", "F") or picture.mode.startswith("I;16"):
            return np.asarray(picture)
        colours = picture.convert("RGB")
        if not _is_grey(colours):
            raise InputError(
                f"mask {path} is in colour",
                expected="grey values, or a palette, with a value for each class",
                remedy="convert it, for example with Pillow's Image.convert('L')",
            )
        return np.asarray(colours)[..., 0]


def resized(pixels: Pixels, edge: int) -> Pixels:
    """(H, W, 3) -> (edge, edge, 3), bilinear, whatever the proportions."""
    from PIL import Image

    scaled = Image.fromarray(pixels).resize((edge, edge), Image.Resampling.BILINEAR)
    return np.asarray(scaled)


def resized_labels(labels: LabelArray, edge: int) -> LabelArray:
    """(H, W) -> (edge, edge), the nearest pixel."""
    from PIL import Image

    scaled = Image.fromarray(labels).resize((edge, edge), Image.Resampling.NEAREST)
    return np.asarray(scaled)


def normalised(pixels: Pixels) -> FloatArray:
    """(..., 3) uint8 -> float32 with the mean and deviation of ImageNet."""
    mean, sd = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_SD, np.float32)
    values: FloatArray = (pixels.astype(np.float32) / 255 - mean) / sd
    return values


def read_pair(image: Path, masks: Sequence[Path], classes: Classes) -> tuple[Pixels, LabelArray]:
    """An image and the union of its masks: (H, W, 3) uint8 and (H, W) uint8.

    Raises:
        InputError: a file cannot be read, the sizes differ, or a mask has unnamed classes.
    """
    pixels = read_pixels(image)
    labels = np.zeros(pixels.shape[:2], np.uint8)
    for path in masks:
        mask = classes.read(path)
        if mask.shape != labels.shape:
            raise InputError(
                f"mask {path} has {_size(mask)} pixels, and its image {image.name} {_size(labels)}",
                expected="a mask of the same width and height as its image",
                remedy="resize one of the two, or leave the image out with --skip-bad",
            )
        labels = np.maximum(labels, mask)
    return pixels, labels


def _foreground(grey: Grey, path: Path) -> BoolArray:
    """Pixels above half of the range, where the mask shows one class."""
    is_lossy = path.suffix.lower() in _LOSSY
    values, counts = np.unique(grey, return_counts=True)
    values, counts = values[values > 0], counts[values > 0]
    if not len(values) or (is_lossy and values[-1] <= _MOST_INDEX):
        return np.zeros(grey.shape, np.bool_)
    classes = _classes(values, counts)
    if len(classes) > 1:
        raise InputError(
            f"mask {path} has several classes: the values {', '.join(map(str, classes[:10]))}",
            expected="one grey value beside 0, or the values of the classes",
            remedy=f"name the classes, for example --classes {','.join(map(str, classes[:10]))}",
        )
    foreground: BoolArray = grey > values[-1] / 2
    return foreground


def _classes(values: Grey, counts: Grey) -> list[Any]:
    """Values that stand for classes, of the sorted values above 0 and their numbers of pixels."""
    if values[-1] <= _MOST_INDEX:
        return list(values.tolist())
    frequent = values[counts >= _CLASS_SHARE * counts.sum()].tolist()
    solid = [value for value in frequent if value >= _ONE_SHADE]
    return [
        value
        for i, value in enumerate(solid)
        if i == len(solid) - 1 or solid[i + 1] - value >= _ONE_SHADE
    ]


def _scaled(values: Grey) -> LabelArray:
    """Minimum to maximum -> 0 to 255."""
    numbers = np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0)
    low, high = numbers.min(), numbers.max()
    scaled: LabelArray = np.round((numbers - low) / (high - low or 1) * 255).astype(np.uint8)
    return scaled


def _is_grey(picture: Any) -> bool:
    colours = np.asarray(picture)
    return bool((colours == colours[..., :1]).all())


def _size(array: npt.NDArray[Any]) -> str:
    return f"{array.shape[1]}×{array.shape[0]}"


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A Pillow image of one frame, with its pixels read."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if (frames := getattr(picture, "n_frames", 1)) > 1:
                raise InputError(
                    f"{path} holds {frames} images",
                    expected="one image a file",
                    remedy="split the file, for example with Pillow or ImageMagick",
                )
            picture.load()
            yield picture
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path} cannot be read: {str(error)[:200]}",
            expected="a whole PNG, JPEG, TIFF or BMP image",
            remedy="replace the file, or leave it out with --skip-bad",
        ) from error
