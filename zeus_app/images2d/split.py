"""The split of images into training and validation, in a file."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from zeus_app.errors import InputError
from zeus_app.images2d.files import listed
from zeus_app.storage.atomic import write_text_atomically


@dataclass(frozen=True)
class Split:
    """Names of images.

    Attributes:
        train: images to learn from.
        validation: images that choose the weights; none of them is learnt from.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...] = ()

    def save(self, path: Path) -> None:
        """Write the split as JSON, completely or not at all."""
        write_text_atomically(path, json.dumps(asdict(self), indent=1, ensure_ascii=False))


_SPLIT = TypeAdapter(Split)


def draw_split(names: Sequence[str], *, fraction: float, seed: int) -> Split:
    """Draw the validation images: the same for the same names and seed.

    Args:
        names: of all images.
        fraction: share of validation images, in [0, 1); at least one image unless it is 0.
        seed: seed of the draw.

    Raises:
        InputError: no image is left to learn from.
    """
    count = round(fraction * len(names))
    count = max(count, 1) if fraction > 0 else 0
    if count >= len(names):
        raise InputError(
            f"{len(names)} images with a validation share of {fraction:g}",
            expected="at least one image to learn from, and one for validation",
            remedy="add images, or train without validation: --validation 0",
        )
    order = np.random.default_rng(seed).permutation(sorted(names)).tolist()
    return Split(train=tuple(sorted(order[count:])), validation=tuple(sorted(order[:count])))


def read_split(path: Path, names: Sequence[str] | None = None) -> Split:
    """A split from a file, for example of an earlier run.

    Args:
        path: JSON with "train" and "validation", lists of names.
        names: of the images that there are; None compares no names. Images that the file does not
            name are left out.

    Raises:
        InputError: the file is no split, names an image twice, or one that is not there.
    """
    try:
        split = _SPLIT.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(
            f"{path} is no split: {str(error)[:200]}",
            expected='JSON such as {"train": ["a", "b"], "validation": ["c"]}',
            remedy="give the split.json of another run, or leave --split out",
        ) from error
    every = [*split.train, *split.validation]
    unknown = sorted(set(every) - set(every if names is None else names))
    if unknown or len(every) != len(set(every)) or not split.train:
        problem = f"images that are not there: {listed(unknown)}" if unknown else "a name twice"
        raise InputError(
            f"{path} has {problem if split.train else 'no image to learn from'}",
            expected="names of the images, without ending, each at most once",
            remedy="correct the file, or leave --split out",
        )
    return split
