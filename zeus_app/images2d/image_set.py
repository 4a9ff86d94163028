"""Images and masks in memory, in the size that the network sees."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from zeus_app.errors import InputError
from zeus_app.images2d.files import Pair
from zeus_app.images2d.pixels import (
    Classes,
    Pixels,
    normalised,
    read_pair,
    resized,
    resized_labels,
)
from zeus_app.progress import Report, silent
from zeus_app.storage.artifacts import sha256_of
from zeus_app.types import LabelArray


@dataclass(frozen=True, eq=False)
class ImageSet:
    """N images of one size.

    Attributes:
        names: of the images.
        pixels: (N, E, E, 3) uint8.
        labels: (N, E, E) uint8; 0 is the background, k the k-th class.
        classes: what the labels show.
        hashes: SHA-256 of each image's file; empty for images that come from no file.
    """

    names: tuple[str, ...]
    pixels: Pixels
    labels: LabelArray
    classes: Classes
    hashes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def chosen(self, names: Sequence[str]) -> "ImageSet":
        """The images of these names, in their order."""
        row = {name: i for i, name in enumerate(self.names)}
        rows = [row[name] for name in names]
        hashes = tuple(self.hashes[i] for i in rows) if self.hashes else ()
        return ImageSet(tuple(names), self.pixels[rows], self.labels[rows], self.classes, hashes)

    def batch(
        self, rows: Sequence[int], rng: np.random.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and masks as (B, 3, E, E) and (B, K, E, E) float32.

        Args:
            rows: numbers of B images.
            rng: turns each image by a random multiple of 90 degrees, and flips it at random. This
                is the augmentation of the published code. None: no augmentation.
        """
        pixels, labels = [], []
        for row in rows:
            turns, flip = (0, False) if rng is None else (rng.integers(4), rng.random() < 0.5)
            pixels.append(_turned(self.pixels[row], int(turns), bool(flip)))
            labels.append(_turned(self.labels[row], int(turns), bool(flip)))
        numbers = np.arange(1, self.classes.count + 1, dtype=np.uint8)
        masks = np.stack(labels)[:, None] == numbers[None, :, None, None]
        return (
            torch.from_numpy(normalised(np.stack(pixels))).permute(0, 3, 1, 2),
            torch.from_numpy(masks).float(),
        )


def read_images(
    pairs: Sequence[Pair],
    classes: Classes,
    *,
    edge: int,
    skip_bad: bool = False,
    report: Report = silent,
) -> tuple[ImageSet, dict[str, str]]:
    """Read images and masks into memory: 4 bytes for each of edge × edge pixels.

    Args:
        pairs: images with their masks.
        classes: what the masks show.
        edge: edge of the images in memory, in pixels.
        skip_bad: leave out images that cannot be read, or whose mask is wrong.
        report: called after each image.

    Returns:
        The images, and name -> reason for those that were left out.

    Raises:
        InputError: an image or a mask is wrong, and `skip_bad` is false; or no image is left.
    """
    names, pixels, labels, hashes, skipped = [], [], [], [], {}
    for number, pair in enumerate(pairs, start=1):
        try:
            image, mask = read_pair(pair.image, pair.masks, classes)
        except InputError as error:
            if not skip_bad:
                raise
            skipped[pair.name] = error.came
        else:
            names.append(pair.name)
            pixels.append(resized(image, edge))
            labels.append(resized_labels(mask, edge))
            hashes.append(sha256_of(pair.image))
        report("reading images", number, len(pairs))
    if not names:
        raise InputError(
            f"{len(pairs)} images, none of which can be used",
            expected="at least one image with a mask",
            remedy="run the command without --skip-bad to see what is wrong",
        )
    arrays = np.stack(pixels), np.stack(labels)
    return ImageSet(tuple(names), *arrays, classes, tuple(hashes)), skipped


def _turned(array: LabelArray, turns: int, flip: bool) -> LabelArray:
    turned: LabelArray = np.rot90(array, turns)
    return turned[:, ::-1] if flip else turned
