"""What a report shows: plain values, filled in by whoever ran the studies."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from zeus_app.errors import InputError
from zeus_app.types import FloatArray, Instruction, LabelArray


@dataclass(frozen=True)
class LabelScores:
    """DSC of one label in one study; None is not measured.

    Attributes:
        before: of the union, before training.
        after: of the union, after it.
        sequences: sequence -> DSC of its own mask, after training.
    """

    before: float | None = None
    after: float | None = None
    sequences: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class StudyPage:
    """One study of the report; all arrays are (X, Y, Z) on one RAS-canonical grid.

    Attributes:
        study_id: as the server lists it.
        spacing_mm: edge lengths of a voxel.
        sequences: name -> intensities; the first one lies under the union and the truth.
        labels: name -> value in the label maps.
        masks: sequence -> label map of its own branch.
        union: label map of all branches together.
        truth: label map to compare with, if there is one.
        scores: label -> DSC.
        instructions: the texts behind the masks.
        role: what the study was used for, e.g. "held back".
        notes: anything the reader must know.
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
    """One epoch: its mean loss and, when it was measured, the mean validation DSC."""

    epoch: int
    loss: float
    score: float | None = None


@dataclass(frozen=True)
class RunPage:
    """Everything a report shows of a run.

    Attributes:
        title: e.g. "Zeus demo: phantom".
        summary: one sentence under the title.
        studies: the studies to show, and to average over.
        curve: the training, epoch by epoch.
        settings: name -> value as shown: profile, fusion, checkpoint, seed, machine.
        times: what was done -> how long it took, as shown, e.g. "encode 96 slices" -> "41 s".
        commands: shell lines that repeat the run.
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
    """Means over the studies, each the mean over its labels; None when nothing was measured.

    Attributes:
        before: DSC of the union before training.
        after: DSC of the union after training.
        sequences: sequence -> DSC of its own masks after training.
    """

    before: float | None
    after: float | None
    sequences: Mapping[str, float]

    @property
    def best_sequence(self) -> str | None:
        """The sequence whose own masks are best."""
        return max(self.sequences, key=lambda name: self.sequences[name], default=None)

    @property
    def gain(self) -> float | None:
        """How far the union is above the best sequence."""
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
    """`which` is "before", "after" or a sequence's name."""
    per_study = [
        mean([_pick(scores, which) for scores in study.scores.values()]) for study in studies
    ]
    return mean(per_study)


def _pick(scores: LabelScores, which: str) -> float | None:
    if which == "before":
        return scores.before
    return scores.after if which == "after" else scores.sequences.get(which)


def mean(values: list[float | None]) -> float | None:
    """Mean of what was measured; None when nothing was."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known else None
