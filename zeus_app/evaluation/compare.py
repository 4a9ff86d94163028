"""Scores of one mask against its truth, for each label and each group of labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from zeus_app.errors import InputError
from zeus_app.evaluation.pairs import Pair
from zeus_app.labels.files import read_mask
from zeus_app.labels.grids import in_order_of, ml_outside, same_place
from zeus_app.labels.mask_files import read_foreign_mask
from zeus_app.metrics import LabelMap, LesionCounts, count_lesions, dice, hd95_mm, iou
from zeus_app.studies.align import shared_share, to_grid
from zeus_app.targets import Target
from zeus_app.types import BoolArray, Grid, Volume
from zeus_app.volumes.voxels import check_right_angles

MIN_SHARED = 0.5
"""Share of the smaller grid that a mask and its truth must both cover. Less is another place."""
_MOST_VALUES = 255
"""Different values of a label map without a target. An image has more."""


@dataclass(frozen=True)
class Structure:
    """A label, or a group: a union of labels that is scored too.

    Attributes:
        name: its name; without a target, the label's value.
        values: its values in label maps.
        kind: "label" or "group".
    """

    name: str
    values: tuple[int, ...]
    kind: str = "label"


@dataclass(frozen=True)
class Scores:
    """Scores of one structure in one case.

    Attributes:
        dsc, iou: Dice similarity and intersection over union, in [0, 1]; 1 if both are empty.
        hd95_mm: the 95th percentile of the distance between the surfaces, in mm; None if one is
            empty, and on a grid whose axes are not at right angles.
        lesions: found, missed and false lesions.
        mask_ml, truth_ml: volumes in ml, each on its own grid.
    """

    dsc: float
    iou: float
    hd95_mm: float | None
    lesions: LesionCounts
    mask_ml: float
    truth_ml: float


NOTHING = Scores(1.0, 1.0, None, LesionCounts(0, 0, 0), 0.0, 0.0)
"""The scores of a structure that neither the mask nor the truth shows."""


@dataclass(frozen=True)
class CaseScores:
    """The scores of one case.

    Attributes:
        case: the study's id.
        scores: structure -> scores. A label that is missing here is in neither label map.
        notes: what the reader of the scores should know.
    """

    case: str
    scores: Mapping[Structure, Scores]
    notes: tuple[str, ...] = ()

    def of(self, structure: Structure) -> Scores:
        """The scores of a structure."""
        return self.scores.get(structure, NOTHING)


@dataclass(frozen=True)
class Reading:
    """How the values of label maps are read.

    Attributes:
        target: its labels and groups are scored. None: every value above 0 is a label.
        convention: the data set whose values the truth has, see `Target.import_conventions`.

    Raises:
        InputError: the target has no such convention, or there is no target.
    """

    target: Target | None = None
    convention: str | None = None
    _of_masks: Target | None = field(init=False, repr=False)
    _of_truth: Target | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.convention is not None and self.target is None:
            raise InputError(
                f"--convention {self.convention} without a target",
                expected="a target that names the convention",
                remedy="add --target, for example --target brain_tumour_parts",
            )
        own = None if self.target is None else _with_own_values(self.target)
        truth = self.target.reading(self.convention) if self.target and self.convention else own
        object.__setattr__(self, "_of_masks", own)
        object.__setattr__(self, "_of_truth", truth)

    def mask(self, path: Path) -> Volume:
        """Read a mask. Raises InputError."""
        return _read(path, self._of_masks)

    def truth(self, path: Path) -> Volume:
        """Read the truth. Raises InputError."""
        return _read(path, self._of_truth)


def structures_of(target: Target) -> tuple[Structure, ...]:
    """The labels and groups of a target, in its order."""
    values = target.label_values
    groups = target.groups.items()
    return (
        *(Structure(name, (value,)) for name, value in values.items()),
        *(
            Structure(name, tuple(values[one] for one in labels), "group")
            for name, labels in groups
        ),
    )


def label_of(value: int) -> Structure:
    """The label of a value, where no target names it."""
    return Structure(str(value), (value,))


def compare(pair: Pair, reading: Reading) -> CaseScores:
    """Compare a mask with its truth, on the truth's grid.

    A mask on another grid is resampled to it by the nearest voxel, and a note tells it.

    Raises:
        InputError: a file cannot be used, or the mask lies in another place.
    """
    stored, truth = reading.mask(pair.mask), reading.truth(pair.truth)
    mask, notes = _on_grid(stored, truth.grid)
    angles = _note_on_angles(truth.grid)
    found = _Case(stored, mask.array, truth, has_distance=not angles)
    if reading.target is None:
        structures = tuple(map(label_of, sorted({*_values(stored), *_values(truth)})))
    else:
        structures = structures_of(reading.target)
    scores = {one: found.score(one) for one in structures}
    return CaseScores(pair.case, scores, (*notes, *angles))


@dataclass(frozen=True, eq=False)
class _Case:
    """A mask as stored and on the truth's grid, and the truth."""

    stored: Volume
    mask: LabelMap
    truth: Volume
    has_distance: bool

    @cached_property
    def _box(self) -> tuple[slice, ...]:
        """The part of the grid with all labelled voxels. Elsewhere nothing counts."""
        boxes = ndimage.find_objects(((self.mask != 0) | (self.truth.array != 0)).astype(np.uint8))
        return boxes[0] if boxes else (slice(0, 0),) * 3

    def score(self, structure: Structure) -> Scores:
        """The scores of a structure."""
        pred, truth = (
            _inside(array[self._box], structure) for array in (self.mask, self.truth.array)
        )
        spacing = self.truth.grid.spacing_mm
        return Scores(
            dsc=dice(pred, truth),
            iou=iou(pred, truth),
            hd95_mm=hd95_mm(pred, truth, spacing) if self.has_distance else None,
            lesions=count_lesions(pred, truth),
            mask_ml=_volume_ml(self.stored, structure),
            truth_ml=int(truth.sum()) * self.truth.grid.voxel_ml,
        )


def _volume_ml(label: Volume, structure: Structure) -> float:
    return int(_inside(label.array, structure).sum()) * label.grid.voxel_ml


def _inside(array: npt.NDArray[np.generic], structure: Structure) -> BoolArray:
    inside = np.zeros(array.shape, np.bool_)
    for value in structure.values:
        inside |= array == value
    return inside


def _values(label: Volume) -> Iterator[int]:
    return (int(value) for value in np.unique(label.array) if value)


def _on_grid(mask: Volume, grid: Grid) -> tuple[Volume, tuple[str, ...]]:
    """The mask on the truth's grid, and what was done for that."""
    if same_place(mask.grid, grid):
        return in_order_of(mask, grid), ()
    share = shared_share(mask.grid, grid)
    if share < MIN_SHARED:
        raise InputError(
            f"a mask that lies in another place than its truth ({share:.0%} shared): {mask.grid}",
            expected=f"the truth's place, {grid}",
            remedy="check that both belong to one study, and save the mask with its image's"
            " geometry",
        )
    notes = [f"resampled by the nearest voxel to the truth's grid, {grid}, from {mask.grid}"]
    if lost := ml_outside(mask, grid):
        notes.append(f"{lost:.3g} ml of the mask lie outside of the truth's grid and do not count")
    return to_grid(mask, grid, order=0, fill=0), tuple(notes)


def _note_on_angles(grid: Grid) -> tuple[str, ...]:
    try:
        check_right_angles(grid, "the truth")
    except InputError:
        return ("no distance: the truth's axes are not at right angles",)
    return ()


def _read(path: Path, target: Target | None) -> Volume:
    if target is not None:
        return read_foreign_mask(path, target)
    label = read_mask(path)
    values = np.unique(label.array)
    if len(values) > _MOST_VALUES or values[0] < 0:
        came = "negative values" if values[0] < 0 else f"{len(values)} different values"
        raise InputError(
            f"{path} with {came}",
            expected=f"a label map: 0 for background, and at most {_MOST_VALUES} values above it",
            remedy="check that the file is a mask and no image; --target says which values count",
        )
    return label


def _with_own_values(target: Target) -> Target:
    """The target, whose own values count beside those that `import_values` names."""
    own = set(target.label_values.values())
    labels = tuple(
        label.model_copy(update={"import_values": (label.value, *(set(label.import_values) - own))})
        for label in target.labels
    )
    return target.model_copy(update={"labels": labels})
