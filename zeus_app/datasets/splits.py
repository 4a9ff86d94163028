"""Splits of a dataset by patient, seeded, in a JSON file.

    {"format": 1,
     "dataset": {"kind": "msd", "name": "Task05_Prostate", "identity": "3a51…", "cases": 32},
     "seed": 0, "made_by": "fractions 0.7, 0.1, 0.2",
     "folds": [{"train": ["prostate_00", …], "validation": […], "test": […]}]}

A split by fractions is one fold. Only cases with a truth take part. The file decides: a later draw
with other cases never changes it, and it is refused for another dataset.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zeus_app.datasets.dataset import Case, Dataset
from zeus_app.errors import InputError
from zeus_app.storage.atomic import write_text_atomically

PARTS = ("train", "validation", "test")
FORMAT = 1
_MAX_BYTES = 64 * 1024 * 1024
Fold = Mapping[str, tuple[str, ...]]
"""Part -> ids of its cases, sorted."""


@dataclass(frozen=True)
class DataSplit:
    """The parts of a dataset.

    Attributes:
        kind, name, identity, cases: of the dataset; `cases` counts those with a truth.
        seed: seed of the order in which patients were drawn; None for an official split.
        made_by: how it was made, for readers.
        folds: the folds; a split by fractions has one.
    """

    kind: str
    name: str
    identity: str
    cases: int
    seed: int | None
    made_by: str
    folds: tuple[Fold, ...]


def split_by_fractions(dataset: Dataset, fractions: Sequence[float], *, seed: int) -> DataSplit:
    """Draw patients for training, validation and test.

    Args:
        dataset: its cases with a truth take part.
        fractions: shares of the patients for each of `PARTS`; at least 0, with the sum 1.
        seed: seed of the order in which patients are drawn.

    Raises:
        InputError: the fractions are no shares, or there are fewer patients than parts.
    """
    is_share = len(fractions) == len(PARTS) and min(fractions) >= 0
    if not (is_share and abs(sum(fractions) - 1) < 1e-6):
        raise InputError(
            f"fractions {', '.join(f'{one:g}' for one in fractions)}",
            expected="three shares for train, validation and test, with the sum 1",
            remedy="write for example 0.7,0.1,0.2; 0 leaves a part empty",
        )
    patients = _shuffled(dataset, seed)
    counts = _counts(len(patients), fractions)
    folds, first = {}, 0
    for part, count in zip(PARTS, counts, strict=True):
        folds[part] = _cases_of(dataset, set(patients[first : first + count]))
        first += count
    shares = ", ".join(f"{one:g}" for one in fractions)
    return _split(dataset, seed, f"fractions {shares}", (folds,))


def split_in_folds(dataset: Dataset, count: int, *, seed: int) -> DataSplit:
    """Draw folds for cross-validation: each patient is tested once.

    Raises:
        InputError: fewer than two folds, or fewer patients than folds.
    """
    patients = _shuffled(dataset, seed)
    if not 2 <= count <= len(patients):
        raise InputError(
            f"{count} folds of {len(patients)} patients with a truth",
            expected=f"2 to {len(patients)} folds",
            remedy="choose another number of folds",
        )
    tested = [set(patients[number::count]) for number in range(count)]
    folds = tuple(
        {"train": _cases_of(dataset, set(patients) - test), "test": _cases_of(dataset, test)}
        for test in tested
    )
    return _split(dataset, seed, f"{count} folds", folds)


def official_split(dataset: Dataset) -> DataSplit:
    """The folds that the dataset's own files name.

    Raises:
        InputError: it names none, or they separate cases of one patient.
    """
    if not dataset.official:
        raise InputError(
            f"{dataset.folder}, which names no split",
            expected="splits_final.json or splits.json of nnU-Net",
            remedy="draw a split with --fractions or --folds",
        )
    split = _split(dataset, None, "official", dataset.official)
    _check_fits(split, dataset, dataset.name)
    return split


def save_split(split: DataSplit, path: Path, *, replace: bool = False) -> None:
    """Write a split. The same split again changes nothing.

    Raises:
        InputError: the file holds something else, and `replace` is not set.
    """
    text = json.dumps(_as_json(split), indent=1, ensure_ascii=False) + "\n"
    if path.exists() and not replace:
        if path.read_bytes() == text.encode():
            return
        raise InputError(
            f"{path}, which exists and holds another split",
            expected="a new file; results of both splits cannot be compared",
            remedy="choose another name with --out, or add --force to replace it",
        )
    write_text_atomically(path, text)


def load_split(path: Path, dataset: Dataset) -> DataSplit:
    """Read a split of this dataset.

    Raises:
        InputError: the file is damaged, belongs to another dataset, names unknown cases, or has
            cases of one patient in two parts.
    """
    try:
        with path.open("rb") as file:
            split = _from_json(json.loads(file.read(_MAX_BYTES)))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is no split ({type(error).__name__}: {error})",
            expected="a JSON file of `zeus data split`",
            remedy="write it again with `zeus data split`",
        ) from error
    if split.identity != dataset.identity:
        raise InputError(
            f"{path} splits {split.name} ({split.identity}, {split.cases} cases)",
            expected=f"a split of {dataset.name} ({dataset.identity}, {len(dataset.labelled)}"
            " cases)",
            remedy="name the dataset that was split; `zeus data verify` tells missing cases",
        )
    _check_fits(split, dataset, str(path))
    return split


def _check_fits(split: DataSplit, dataset: Dataset, where: str) -> None:
    """Refuse unknown cases, cases in two parts, and patients in two parts."""
    patients = {case.id: case.patient for case in dataset.labelled}
    for number, fold in enumerate(split.folds):
        part_of: dict[str, str] = {}
        for part, cases in fold.items():
            for case in cases:
                if case not in patients:
                    raise _wrong(f"{where}: fold {number} names case {case}, which has no truth")
                if part_of.setdefault(patients[case], part) != part:
                    raise _wrong(
                        f"{where}: fold {number} has patient {patients[case]} in {part} and in"
                        f" {part_of[patients[case]]}"
                    )


def _wrong(came: str) -> InputError:
    return InputError(
        came,
        expected="every patient in one part",
        remedy="draw the split again with `zeus data split`",
    )


def _shuffled(dataset: Dataset, seed: int) -> list[str]:
    patients = sorted({case.patient for case in dataset.labelled})
    random.Random(seed).shuffle(patients)
    return patients


def _counts(total: int, fractions: Sequence[float]) -> list[int]:
    """Patients for each part: rounded shares, at least one where the share is above 0.

    Raises:
        InputError: there are fewer patients than parts.
    """
    parts = sum(one > 0 for one in fractions)
    if total < parts:
        raise InputError(
            f"{total} patients with a truth for {parts} parts",
            expected="at least one patient for each part",
            remedy="leave a part empty with the share 0, or use more data",
        )
    counts = [max(1, int(total * one)) if one > 0 else 0 for one in fractions]
    while sum(counts) != total:
        step = 1 if sum(counts) < total else -1
        able = [i for i, one in enumerate(fractions) if one > 0 and counts[i] + step > 0]
        lacks = [total * fractions[i] - counts[i] for i in able]
        best = max(lacks) if step > 0 else min(lacks)
        counts[able[lacks.index(best)]] += step
    return counts


def _cases_of(dataset: Dataset, patients: set[str]) -> tuple[str, ...]:
    return tuple(sorted(case.id for case in dataset.labelled if case.patient in patients))


def cases_in(dataset: Dataset, fold: Fold, part: str) -> tuple[Case, ...]:
    """The cases of one part of a fold."""
    chosen = set(fold.get(part, ()))
    return tuple(case for case in dataset.cases if case.id in chosen)


def _split(dataset: Dataset, seed: int | None, made_by: str, folds: tuple[Fold, ...]) -> DataSplit:
    count = len(dataset.labelled)
    return DataSplit(dataset.kind, dataset.name, dataset.identity, count, seed, made_by, folds)


def _as_json(split: DataSplit) -> dict[str, Any]:
    dataset = {"kind": split.kind, "name": split.name, "identity": split.identity}
    return {
        "format": FORMAT,
        "dataset": {**dataset, "cases": split.cases},
        "seed": split.seed,
        "made_by": split.made_by,
        "folds": [{part: list(cases) for part, cases in fold.items()} for fold in split.folds],
    }


def _from_json(content: Mapping[str, Any]) -> DataSplit:
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']}")
    dataset = content["dataset"]
    return DataSplit(
        kind=str(dataset["kind"]),
        name=str(dataset["name"]),
        identity=str(dataset["identity"]),
        cases=int(dataset["cases"]),
        seed=content["seed"],
        made_by=str(content["made_by"]),
        folds=tuple(
            {str(part): tuple(map(str, cases)) for part, cases in fold.items()}
            for fold in content["folds"]
        ),
    )
