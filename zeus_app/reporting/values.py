"""Contents of a report: plain values that the caller fills in."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from zeus_app.errors import InputError
from zeus_app.types import FloatArray, Instruction, LabelArray


@dataclass(frozen=True)
class LabelScores:
    """DSC of one label in one study; None where it was not measured.

    Attributes:
        before: DSC of the union before the training.
        after: DSC of the union after the training.
        sequences: sequence -> DSC of its mask after the training.
    """

    before: float | None = None
    after: float | None = None
    sequences: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class StudyPage:
    """One study of the report; all arrays are (X, Y, Z) on one RAS-canonical grid.

    Attributes:
        study_id: as the server lists it.
        spacing_mm: edge lengths of a voxel in mm.
        sequences: name -> intensities. The first sequence is the background of union and truth.
        labels: name -> value in the label maps.
        masks: sequence -> label map of its branch.
        union: label map of all branches united.
        truth: label map to compare with, if any.
        scores: label -> DSC.
        instructions: the instructions of the masks.
        role: what the study was used for, e.g. "held back".
        notes: remarks for the reader.
    """

    study_id: str
    spacing_mm: tuple[float, float, float]
    sequences: Mapping[str, FloatArray]
    labels: Mapping[str, int]
    masks: Mapping[str, LabelArray]
    union: LabelArray
    truth: LabelArray | None = None
    scores: Mapping[str, LabelScores] = field(default_factory=dict)
    instructions: tuple[Instruction, ...] = ()
    role: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shapes = {name: array.shape for name, array in self._arrays().items()}
        if len(set(shapes.values())) != 1 or len(self.union.shape) != 3:
            raise InputError(
                f"study {self.study_id} with arrays of shapes {shapes}",
                expected="sequences and label maps on one 3-D grid, and at least one sequence",
                remedy="resample them onto the reference's canonical grid first",
            )

    def _arrays(self) -> dict[str, FloatArray | LabelArray]:
        truth = {} if self.truth is None else {"truth": self.truth}
        masks = {f"mask of {name}": mask for name, mask in self.masks.items()}
        first = {} if self.sequences else {"no sequence": np.empty(0, np.float32)}
        return {**first, **self.sequences, **masks, "union": self.union, **truth}


@dataclass(frozen=True)
class CurvePoint:
    """One epoch.

    Attributes:
        epoch: its number, from 1.
        loss: mean training loss.
        score: mean validation DSC, None where it was not measured.
    """

    epoch: int
    loss: float
    score: float | None = None


@dataclass(frozen=True)
class RunPage:
    """Contents of the report of a run.

    Attributes:
        title: e.g. "Zeus demo: phantom".
        summary: one sentence under the title.
        studies: the studies to show and to average.
        curve: the training, epoch by epoch.
        settings: name -> value as text, for example "seed" -> "0".
        times: step -> duration as text, for example "encode 96 slices" -> "41 s".
        commands: shell commands that repeat the run.
    """

    title: str
    summary: str
    studies: tuple[StudyPage, ...]
    curve: tuple[CurvePoint, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    times: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """Means over studies of the means over their labels; None where nothing was measured.

    Attributes:
        before: DSC of the union before the training.
        after: DSC of the union after the training.
        sequences: sequence -> DSC of its masks after the training.
    """

    before: float | None
    after: float | None
    sequences: Mapping[str, float]

    @property
    def best_sequence(self) -> str | None:
        """The sequence whose masks have the highest DSC."""
        return max(self.sequences, key=lambda name: self.sequences[name], default=None)

    @property
    def gain(self) -> float | None:
        """DSC of the union minus the DSC of the best sequence."""
        if self.after is None or self.best_sequence is None:
            return None
        return self.after - self.sequences[self.best_sequence]


def summarise(studies: tuple[StudyPage, ...]) -> Summary:
    """Average the scores over the labels of each study, then over the studies."""
    names = dict.fromkeys(name for study in studies for name in study.sequences)
    sequences = {name: _mean_of_studies(studies, name) for name in names}
    return Summary(
        before=_mean_of_studies(studies, "before"),
        after=_mean_of_studies(studies, "after"),
        sequences={name: mean for name, mean in sequences.items() if mean is not None},
    )


def _mean_of_studies(studies: tuple[StudyPage, ...], which: str) -> float | None:
    """Mean DSC; `which` is "before" or "after" for the union, or the name of a sequence."""
    per_study = [
        mean([_dsc(scores, which) for scores in study.scores.values()]) for study in studies
    ]
    return mean(per_study)


def _dsc(scores: LabelScores, which: str) -> float | None:
    if which == "before":
        return scores.before
    return scores.after if which == "after" else scores.sequences.get(which)


def mean(values: list[float | None]) -> float | None:
    """Mean of the finite values; None when there is none."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None
