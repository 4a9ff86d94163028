"""Make a dataset a folder of studies, without a copy of its images.

    <out>/cases.json               a list of studies with the paths of their images and masks
    <out>/labels/1.nii.gz          masks that are no files `zeus import-labels` reads (CHAOS's PNG)

`zeus serve`, `zeus train` and all other commands read such a list (`studies/caselist.py`).
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zeus_app.datasets.dataset import Case, Dataset, MaskFile, Truth, stored_values
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.labels.files import write_volume
from zeus_app.progress import Report, silent
from zeus_app.storage.atomic import new_folder
from zeus_app.targets import Target
from zeus_app.targets.naming import safe_id
from zeus_app.types import Volume, VolumeSource
from zeus_app.volumes.sources import NiftiChannelSource

_LIST, _LABELS = "cases.json", "labels"
_STAGE = "cases"


@dataclass(frozen=True)
class Linked:
    """What was written.

    Attributes:
        folder: the folder of studies.
        cases: number of studies.
        labelled: number of studies with a mask.
        written: number of masks that were written anew.
        convention: what `zeus import-labels` needs as --convention; None if it needs none.
    """

    folder: Path
    cases: int
    labelled: int
    written: int
    convention: str | None


def link_dataset(
    dataset: Dataset,
    out: Path,
    *,
    only: Collection[str] | None = None,
    report: Report = silent,
) -> Linked:
    """Write the list of studies, and the masks that need it, or nothing at all.

    Args:
        dataset: the dataset. Its folder must stay where it is.
        out: a new or empty folder outside of the dataset.
        only: ids of the cases to list; None for all.
        report: told after each case.

    Raises:
        InputError: `out` is not empty or lies in the dataset, no case is chosen, or a mask cannot
            be read.
    """
    _check_free(out, dataset)
    cases = _chosen(dataset, only)
    convention = dataset.convention or next(iter(dataset.target.import_conventions), None)
    target = dataset.target.reading(convention)
    with new_folder(out) as folder:
        entries = []
        for done, case in enumerate(cases, start=1):
            entries.append(_entry(case, target, folder))
            report(_STAGE, done, len(cases))
        (folder / _LIST).write_text(json.dumps(entries, indent=1), encoding="utf-8")
    labels = [entry["label"] for entry in entries if "label" in entry]
    written = sum(not Path(label).is_absolute() for label in labels)
    return Linked(out, len(cases), len(labels), written, convention)


def _chosen(dataset: Dataset, only: Collection[str] | None) -> list[Case]:
    cases = [case for case in dataset.cases if only is None or case.id in only]
    if not cases:
        raise InputError(
            f"no case of {dataset.name} is chosen",
            expected="at least one case",
            remedy="choose another part of the split",
        )
    return cases


def _check_free(out: Path, dataset: Dataset) -> None:
    is_inside = out.resolve().is_relative_to(dataset.folder.resolve())
    if is_inside or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise InputError(
            f"{out}, which {'lies in the dataset' if is_inside else 'is not empty'}",
            expected="a new or empty folder outside of the dataset, which is never changed",
            remedy="choose another one with --out",
        )


def _entry(case: Case, target: Target, folder: Path) -> dict[str, Any]:
    """The entry of a case in cases.json. Writes its mask if it must be."""
    entry: dict[str, Any] = {
        "id": case.id,
        "patient": case.patient,
        "sequences": {name: _place(source) for name, source in case.sources.items()},
    }
    if case.truths:
        truth = case.truths[case.reference]
        entry["label"] = _label(case, truth, target, folder)
    return entry


def _place(source: VolumeSource) -> str | dict[str, Any]:
    path = source.files[0].resolve()
    if isinstance(source, NiftiChannelSource):
        return {"path": str(path), "channel": source.channel}
    return str(path.parent if isinstance(source, DicomSeriesSource) else path)


def _label(case: Case, truth: Truth, target: Target, folder: Path) -> str:
    """The path of a mask that `zeus import-labels` reads for this target."""
    if isinstance(truth, MaskFile) and truth.values == stored_values(target):
        return str(truth.path.resolve())
    mask = case.truth()
    array = np.zeros_like(mask.array)
    for label in target.labels:
        array[mask.array == label.value] = label.foreign_values[0]
    name = f"{_LABELS}/{safe_id(case.id)}.nii.gz"
    (folder / _LABELS).mkdir(exist_ok=True)
    write_volume(folder / name, Volume(array, mask.affine_ras))
    return name
