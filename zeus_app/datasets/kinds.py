"""The layouts of datasets, and which one a folder has."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from zeus_app.datasets import brats, chaos, msd, nnunet_raw
from zeus_app.datasets.dataset import Dataset
from zeus_app.errors import InputError
from zeus_app.settings.file_names import check_utf8
from zeus_app.targets import Target, load_target


@dataclass(frozen=True)
class DatasetKind:
    """One layout.

    Attributes:
        title: its name, for users.
        recognise: whether a folder has this layout; only names are read.
        read: makes the dataset. The arguments are those of `open_dataset`.
    """

    title: str
    recognise: Callable[[Path], bool]
    read: Callable[[Path, Target | None, str | None], Dataset]


KINDS = {
    "msd": DatasetKind("Medical Segmentation Decathlon", msd.recognise, msd.read),
    "nnunet": DatasetKind("raw dataset of nnU-Net", nnunet_raw.recognise, nnunet_raw.read),
    "chaos": DatasetKind("CHAOS, MR", chaos.recognise, chaos.read),
    "brats": DatasetKind("BraTS", brats.recognise, brats.read),
}


def open_dataset(
    folder: Path, target: Target | str | None = None, *, convention: str | None = None
) -> Dataset:
    """Read what a folder holds. Only names, headers and dataset.json are read.

    Args:
        folder: the folder as the dataset's archive was unpacked. Nothing is written to it.
        target: the labels and sequences to read, or the name or YAML file of such a target. If
            None, the one of the paper's experiment, or one made of dataset.json.
        convention: the values of the masks, see `Target.import_conventions`. If None, the
            dataset's own.

    Raises:
        InputError: the folder does not exist, has no known layout, or holds no case.
    """
    check_utf8(folder.absolute())
    if not folder.is_dir():
        raise InputError(
            f"folder {folder} does not exist or is no folder",
            expected="the folder of a dataset",
            remedy="check the path, for example with ls",
        )
    chosen = load_target(target) if isinstance(target, str) else target
    kind = kind_of(folder)
    if kind is None:
        raise _unknown(folder)
    dataset = KINDS[kind].read(folder, chosen, convention)
    ignored = tuple(sorted(folder.rglob("._*")))
    dataset = replace(dataset, ignored=ignored)
    if not dataset.cases:
        raise InputError(
            f"{folder}, a {KINDS[kind].title} without a usable case."
            f" {' '.join(problem.text for problem in dataset.problems[:1])}".rstrip(),
            expected="at least one case with images",
            remedy="unpack the archive again, or choose another --target",
        )
    return dataset


def kind_of(folder: Path) -> str | None:
    """The key in `KINDS` of a folder's layout; None if no layout fits."""
    return next((name for name, kind in KINDS.items() if kind.recognise(folder)), None)


def _unknown(folder: Path) -> InputError:
    below = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    found = [path for path in below if kind_of(path)]
    titles = ", ".join(kind.title for kind in KINDS.values())
    return InputError(
        f"{folder}, a folder of no known layout",
        expected=titles,
        remedy=f"name one of the datasets in it, for example {found[0]}"
        if found
        else "name the folder that the archive was unpacked to; docs/datasets.md shows the layouts",
    )
