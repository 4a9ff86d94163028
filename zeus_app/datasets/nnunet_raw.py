"""Raw datasets of nnU-Net, version 1 and 2.

    Dataset501_phantom/dataset.json                   channel_names (v1: modality), labels
    Dataset501_phantom/imagesTr/p1_0000.nii.gz        channel 0 of the case p1
    Dataset501_phantom/imagesTr/p1_0001.nii.gz        channel 1
    Dataset501_phantom/labelsTr/p1.nii.gz
    Dataset501_phantom/imagesTs/p9_0000.nii.gz
    Dataset501_phantom/splits.json                    of `zeus export`; or splits_final.json

nnU-Net names no patients: a case is one. The folds in splits.json keep patients together where
the program that wrote it knew them.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zeus_app.datasets.archive import is_archive, is_numbered, read_archive
from zeus_app.datasets.dataset import DataProblem, Dataset
from zeus_app.targets import Target

_SPLITS = ("splits_final.json", "splits.json")
_MAX_BYTES = 64 * 1024 * 1024


def recognise(folder: Path) -> bool:
    """Whether the folder is an archive with one file for each channel."""
    return is_archive(folder) and is_numbered(folder)


def read(folder: Path, target: Target | None, convention: str | None) -> Dataset:
    """Read a dataset; see `kinds.open_dataset`."""
    dataset = read_archive("nnunet", folder, target, convention)
    path = next((folder / name for name in _SPLITS if (folder / name).is_file()), None)
    if path is None:
        return dataset
    try:
        return replace(dataset, official=_folds(path))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        problem = DataProblem("", f"{path.name} holds no folds: {error}", (path,))
        return replace(dataset, problems=(*dataset.problems, problem))


def _folds(path: Path) -> tuple[Mapping[str, tuple[str, ...]], ...]:
    """The folds of `[{"train": [...], "val": [...]}]`."""
    with path.open("rb") as file:
        content: Iterable[Mapping[str, Any]] = json.loads(file.read(_MAX_BYTES))
    return tuple(
        {"train": tuple(map(str, fold["train"])), "validation": tuple(map(str, fold["val"]))}
        for fold in content
    )
