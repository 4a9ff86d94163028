"""Images and masks in folders, matched by their names."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zeus_app.errors import InputError

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
_MASK = re.compile(r"(.+?)[ _-](?:mask|segmentation|seg)(?:[ _-]?\d+)?", re.IGNORECASE)
_MOST_NAMES = 5  # in an error


@dataclass(frozen=True)
class ImageFile:
    """An image.

    Attributes:
        name: path below the folder, without ending, for example "benign/case 1".
        path: the file.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class Pair:
    """An image and its masks; several masks of one image are united.

    Attributes:
        name: name of the image.
        image: the image's file.
        masks: the masks' files; at least one.
    """

    name: str
    image: Path
    masks: tuple[Path, ...]


def find_images(images: Path, *, without: Path | None = None) -> list[ImageFile]:
    """The images of a folder and of its subfolders, or one file, by name.

    A file with the name of another and "_mask", "_segmentation" or "_seg" is no image. Hidden files
    are left out.

    Args:
        images: the folder or file.
        without: a folder whose files are no images, if it lies below `images`.

    Raises:
        InputError: there is no image, or two images differ in their ending alone.
    """
    files = list(_walk(images))
    if without is not None and without.resolve() != images.resolve():
        inside = without.resolve()
        files = [file for file in files if inside not in file[1].resolve().parents]
    names = {name for name, _ in files}
    chosen = [ImageFile(name, path) for name, path in files if _base(name) not in names]
    if not chosen:
        raise InputError(
            f"{images} holds no image",
            expected=f"an image, or a folder of images: {_endings()}",
            remedy="check the path, for example with ls",
        )
    _refuse_equal_names(chosen)
    return sorted(chosen, key=lambda image: image.name)


def match_masks(images: Sequence[ImageFile], masks: Path) -> tuple[list[Pair], dict[str, str]]:
    """Find the masks of each image.

    A mask has the image's path below the folder, or its file name alone; "_mask",
    "_segmentation" or "_seg" may follow, and a number, as in the breast ultrasound set BUSI.

    Args:
        images: from `find_images`.
        masks: folder of masks; it may be the folder of the images.

    Returns:
        The pairs, and image -> reason for those without a mask.

    Raises:
        InputError: the folder holds no image file.
    """
    own = {image.path.resolve() for image in images}
    files = [(name, path) for name, path in _walk(masks) if path.resolve() not in own]
    if not files:
        raise InputError(
            f"{masks} holds no mask",
            expected=f"masks that are named after the images: {_endings()}",
            remedy="check the path, for example with ls",
        )
    by_path, by_file_name = _index(files), _index((_last(name), path) for name, path in files)
    repeated = _repeated(_last(image.name) for image in images)
    pairs, missing = [], {}
    for image in images:
        found = by_path.get(image.name, [])
        if not found and _last(image.name) not in repeated:
            found = by_file_name.get(_last(image.name), [])
        if found:
            pairs.append(Pair(image.name, image.path, tuple(sorted(found))))
        else:
            missing[image.name] = "no mask has its name"
    return pairs, missing


def refuse_missing(missing: Mapping[str, str], masks: Path) -> None:
    """Refuse images without a mask. Raises InputError with the names of the first few."""
    if missing:
        first = next(iter(missing))
        count = "1 image has" if len(missing) == 1 else f"{len(missing)} images have"
        raise InputError(
            f"{count} no mask in {masks}: {listed(missing)}",
            expected=f"a mask for each image, for example {first}.png or {first}_mask.png",
            remedy="add the masks, or leave these images out with --skip-bad",
        )


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - _MOST_NAMES} more" if len(every) > _MOST_NAMES else ""
    return ", ".join(every[:_MOST_NAMES]) + more


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and path of each image file; of a path that is a file, this file alone."""
    if folder.is_file() and folder.suffix.lower() in ENDINGS:
        yield folder.stem, folder
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent) / name
            if path.suffix.lower() in ENDINGS and not name.startswith("."):
                yield path.relative_to(folder).with_suffix("").as_posix(), path


def _base(name: str) -> str | None:
    """The image's name of a mask's name; None for a name without a mask's ending."""
    match = _MASK.fullmatch(name)
    return match[1] if match else None


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _index(files: Iterable[tuple[str, Path]]) -> dict[str, list[Path]]:
    """Image's name -> its masks."""
    index: dict[str, list[Path]] = defaultdict(list)
    for name, path in files:
        index[name].append(path)
        base = _base(name)
        if base is not None:
            index[base].append(path)
    return index


def _repeated(names: Iterable[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}


def _refuse_equal_names(images: Iterable[ImageFile]) -> None:
    first: dict[str, Path] = {}
    for image in images:
        other = first.setdefault(image.name, image.path)
        if other != image.path:
            raise InputError(
                f"{other.name} and {image.path.name} in {image.path.parent}",
                expected="one image of a name, because masks are matched by it",
                remedy="rename or remove one of the two",
            )


def _endings() -> str:
    return ", ".join(sorted(ENDINGS))
