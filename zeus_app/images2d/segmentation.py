"""Masks of 2-D images on their own size, and their scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from zeus_app.devices import autocast
from zeus_app.errors import InputError
from zeus_app.images2d.files import ImageFile, Pair
from zeus_app.images2d.pixels import Classes, Pixels, normalised, read_pair, read_pixels, resized
from zeus_app.images2d.run import NEW, RunFolder
from zeus_app.images2d.training import labels_of
from zeus_app.metrics import mean_dice, miou, miou_with_background
from zeus_app.progress import Report, silent
from zeus_app.storage.artifacts import sha256_of
from zeus_app.storage.atomic import write_atomically
from zeus_app.types import LabelArray


@dataclass(frozen=True)
class ImageScores:
    """Scores of one image, on its own size.

    Attributes:
        name: name of the image.
        role: "trained on", "chose the weights", or "new" to the run.
        dsc: mean Dice of the classes that are in the mask or in the truth.
        miou: mean IoU of the classes, without the background.
        miou_with_background: the same with the background as one more class.
    """

    name: str
    role: str
    dsc: float
    miou: float
    miou_with_background: float


@dataclass(frozen=True, eq=False)
class ImageSegmenter:
    """A trained network for images of any size.

    Attributes:
        network: (B, 3, E, E) -> (B, K, E, E) logits, on its device.
        classes: what the masks show.
        edge_px: E.
        device: device of the network.
    """

    network: nn.Module
    classes: Classes
    edge_px: int
    device: torch.device

    @classmethod
    def of(cls, run: RunFolder, device: torch.device) -> "ImageSegmenter":
        """The network of a run. Raises InputError if there is none."""
        settings = run.settings()
        network = run.trained().to(device)
        return cls(network, Classes(settings.classes), settings.edge_px, device)

    @torch.inference_mode()
    def labels(self, pixels: Pixels) -> LabelArray:
        """(H, W, 3) uint8 -> (H, W) uint8: 0 is the background, k the k-th class.

        The logits, not the mask, are scaled to the image's size, so that edges stay smooth.
        """
        small = torch.from_numpy(normalised(resized(pixels, self.edge_px)))
        with autocast(self.device):
            logits = self.network(small.permute(2, 0, 1)[None].to(self.device))
        size = pixels.shape[0], pixels.shape[1]
        whole = F.interpolate(logits.float(), size, mode="bilinear", align_corners=False)
        return labels_of(whole[0].sigmoid().cpu())


def write_masks(
    segmenter: ImageSegmenter,
    images: Sequence[ImageFile],
    out: Path,
    *,
    report: Report = silent,
) -> dict[str, str]:
    """Write a mask for each image: <name>.png, 8 bits, in the image's own size.

    A class has the grey value that it has in the training masks; the only class has 255.

    Returns:
        Image -> reason for those that failed.

    Raises:
        InputError: a mask would replace an image.
    """
    targets = {image.name: out / f"{image.name}.png" for image in images}
    own = {image.path.resolve() for image in images}
    for target in targets.values():
        if target.resolve() in own:
            raise InputError(
                f"mask {target} would replace an image",
                expected="an output folder beside the images",
                remedy="give another --out, for example masks",
            )
    failed: dict[str, str] = {}
    for number, image in enumerate(images, start=1):
        try:
            labels = segmenter.labels(read_pixels(image.path))
            write_mask(targets[image.name], segmenter.classes.grey(labels))
        except InputError as error:
            failed[image.name] = str(error)
        report("segmenting", number, len(images))
    return failed


def write_mask(path: Path, grey: LabelArray) -> None:
    """Write (H, W) uint8 as PNG, completely or not at all."""
    from PIL import Image

    write_atomically(path, lambda temporary: Image.fromarray(grey).save(temporary))


def score_images(
    segmenter: ImageSegmenter,
    pairs: Sequence[Pair],
    roles: Mapping[str, str],
    *,
    skip_bad: bool = False,
    report: Report = silent,
) -> tuple[list[ImageScores], dict[str, str]]:
    """Segment images, and compare each with its masks on the image's own size.

    Args:
        segmenter: the trained network.
        pairs: images with their masks.
        roles: SHA-256 of an image's file -> its role in the training; any other is new to it.
        skip_bad: leave out images that cannot be read, or whose mask is wrong.
        report: called after each image.

    Returns:
        The scores, and image -> reason for those that were left out.

    Raises:
        InputError: an image or a mask is wrong, and `skip_bad` is false.
    """
    scores, skipped = [], {}
    for number, pair in enumerate(pairs, start=1):
        try:
            scores.append(_scores(segmenter, pair, roles.get(sha256_of(pair.image), NEW)))
        except InputError as error:
            if not skip_bad:
                raise
            skipped[pair.name] = error.came
        report("comparing", number, len(pairs))
    return scores, skipped


def _scores(segmenter: ImageSegmenter, pair: Pair, role: str) -> ImageScores:
    values = tuple(range(1, segmenter.classes.count + 1))
    pixels, truth = read_pair(pair.image, pair.masks, segmenter.classes)
    labels = segmenter.labels(pixels)
    return ImageScores(
        pair.name,
        role,
        mean_dice(labels, truth, values),
        miou(labels, truth, values),
        miou_with_background(labels, truth, values),
    )


def mean_scores(scores: Sequence[ImageScores]) -> tuple[float, float, float]:
    """Means of DSC, mIoU and mIoU with background."""
    rows = [(one.dsc, one.miou, one.miou_with_background) for one in scores]
    dsc, without, with_background = np.mean(rows, axis=0)
    return float(dsc), float(without), float(with_background)
