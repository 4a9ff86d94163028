"""What every dataset promises: cases with a patient, sequences and the truth.

`kinds.open_dataset` returns a `Dataset`, whatever the layout of the folder. Nothing is written to
the folder, and no voxels are read before a case is asked for them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np

from zeus_app.errors import InputError
from zeus_app.labels.files import read_mask
from zeus_app.labels.values import listed
from zeus_app.studies.candidates import source_of
from zeus_app.studies.read import read_study
from zeus_app.targets import Target
from zeus_app.types import Grid, LabelledStudy, StudyFiles, Volume, VolumeSource

TRAIN, TEST = "train", "test"
"""Official parts of a dataset. Cases of `TEST` mostly have no public truth."""


class Truth(Protocol):
    """The mask of a case, as the dataset stores it."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the mask."""

    @property
    def values(self) -> Mapping[int, int]:
        """Value in the files -> value of the target's label. 0 is the background."""

    def grid(self) -> Grid:
        """The grid in the headers. Raises InputError for files that `stored` refuses."""

    def stored(self) -> Volume:
        """The values of the files, whole numbers. Raises InputError if they cannot be read."""


@dataclass(frozen=True)
class MaskFile:
    """A mask in one file of its own."""

    path: Path
    values: Mapping[int, int]

    @property
    def files(self) -> tuple[Path, ...]:
        """The one file."""
        return (self.path,)

    def grid(self) -> Grid:
        """The grid in the header."""
        return source_of(self.path).grid()

    def stored(self) -> Volume:
        """(X, Y, Z) float32, whole numbers."""
        return read_mask(self.path)


@dataclass(frozen=True, eq=False)
class Case:
    """One examination of a patient.

    Attributes:
        id: its id; unique in the dataset.
        patient: the patient. A split never separates cases of one patient.
        sources: sequence of the target -> source of its voxels, in the target's order.
        reference: the sequence whose grid the truth has: the target's preferred one.
        truths: sequence -> truth on this sequence's grid; empty without a public truth. Datasets
            with one mask for all sequences name it for each.
        part: the official part that the case belongs to: "train" or "test".
    """

    id: str
    patient: str
    sources: Mapping[str, VolumeSource]
    reference: str
    truths: Mapping[str, Truth]
    part: str = TRAIN

    def study_files(self) -> StudyFiles:
        """The case as a study of the product."""
        return StudyFiles(self.id, self.sources, self.patient)

    def truth(self, sequence: str = "") -> Volume:
        """The mask with the target's values, (X, Y, Z) uint8.

        Args:
            sequence: on whose grid; if empty, `reference`.

        Raises:
            InputError: the case has no such truth, or its files are damaged or hold values of no
                label.
        """
        name = sequence or self.reference
        if name not in self.truths:
            raise InputError(
                f"case {self.id} without a truth for {name}",
                expected=f"one of {', '.join(self.truths)}" if self.truths else "a case with truth",
                remedy="choose another case or sequence; test cases have no public truth",
            )
        truth = self.truths[name]
        return translated(truth.stored(), truth)

    def labelled_study(self) -> LabelledStudy:
        """The case as training and evaluation take it. Raises InputError without a truth."""
        if not self.truths:
            self.truth()
        files = self.study_files()
        return LabelledStudy(
            self.id,
            read_study=lambda: read_study(files),
            read_label=self.truth,
            read_grid=self.sources[self.reference].grid,
            patient=self.patient,
            sequences=tuple(self.sources),
        )


@dataclass(frozen=True)
class DataProblem:
    """Something wrong in a dataset.

    Attributes:
        case: the case; empty if the problem is that of the whole dataset.
        text: what is wrong, for users.
        files: the files that it is about.
    """

    case: str
    text: str
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset as downloaded.

    Attributes:
        kind: its layout: a key of `kinds.KINDS`.
        name: its name, mostly that of its folder.
        folder: its folder.
        target: the labels and sequences that it is read for.
        convention: the dataset's values among the target's `import_conventions`; None if the
            target has none.
        sequences: the sequences that every case should have, in the target's order.
        cases: the cases, sorted by id.
        problems: what is wrong with the layout; `verify.py` finds more.
        ignored: files that are no part of the dataset, such as `._BRATS_001.nii.gz` of macOS.
        official: parts or folds that files of the dataset name: fold -> part -> ids of cases.
    """

    kind: str
    name: str
    folder: Path
    target: Target
    convention: str | None
    sequences: tuple[str, ...]
    cases: tuple[Case, ...]
    problems: tuple[DataProblem, ...] = ()
    ignored: tuple[Path, ...] = ()
    official: tuple[Mapping[str, tuple[str, ...]], ...] = field(default=())

    @property
    def labelled(self) -> tuple[Case, ...]:
        """The cases with a truth."""
        return tuple(case for case in self.cases if case.truths)

    @property
    def identity(self) -> str:
        """A hash of the kind and of all cases with their patients; equal for all copies.

        It does not depend on the folder's place, on compression, or on the target.
        """
        content = [[case.id, case.patient, bool(case.truths)] for case in self.cases]
        return sha256(json.dumps([self.kind, content]).encode()).hexdigest()[:16]


def translated(stored: Volume, truth: Truth) -> Volume:
    """A mask with the target's values, uint8.

    Args:
        stored: what `truth.stored()` returned.
        truth: names the values and the files.

    Raises:
        InputError: a value is neither 0 nor among `truth.values`.
    """
    array = np.zeros(stored.array.shape, np.uint8)
    is_known = stored.array == 0
    for value, label in truth.values.items():
        chosen = stored.array == value
        array[chosen] = label
        is_known |= chosen
    if not is_known.all():
        raise InputError(
            f"{truth.files[0]}: values {listed(stored.array[~is_known])} are no label",
            expected=f"0 and {', '.join(map(str, sorted(truth.values)))}",
            remedy="check that this is the right mask, or choose the right target and convention",
        )
    return Volume(array, stored.affine_ras)


def stored_values(target: Target) -> dict[int, int]:
    """Value in a dataset's masks -> value of the target's label, by the labels' import values."""
    return {value: label.value for label in target.labels for value in label.foreign_values}
