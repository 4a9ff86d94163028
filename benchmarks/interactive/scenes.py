"""What is clicked: one label of a study, on one slice (2-D) or in the whole volume (3-D)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from zeus_app.bench.labelled_studies import labelled_phantoms, with_labels
from zeus_app.errors import InputError
from zeus_app.labels.mask_files import ImportedLabel, find_masks
from zeus_app.prompts.propagation import PropagationLimits
from zeus_app.prompts.simulation import SimulatedClick
from zeus_app.studies.align import align_for, to_grid
from zeus_app.studies.slices import make_frame, slice_stack
from zeus_app.targets import Target
from zeus_app.types import BoolArray, Grid, LabelledStudy, SliceStack

LEAST_PX = 60
"""Smaller labels on a slice are no scenes in 2-D: clicks do not improve a mask of a few pixels."""
SLICES = 3
"""Slices per label and study in 2-D, evenly spread over the slices that show the label."""
MAX_SLICES = 64
"""How far a 3-D mask may reach in each direction: the default of `most_slices`."""
MACHINE_MADE_MASKS = {"prostate": "*whole_gland-AI-Bosma22b*"}
"""Target -> the mask to use where all masks come from machines."""
SKIPPED = {"brain_tumour": ("TCGA-DU-7294",)}
"""Target -> studies whose masks come from machines although others have masks by people."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One label of a study, on one slice or in the whole volume.

    Attributes:
        target, study, label: their names.
        stack: the study's slices.
        volume: (X, Y, S) bool, the true mask on the stack's canonical grid.
        slice_index: the slice in 2-D; None in 3-D.
    """

    target: str
    study: str
    label: str
    stack: SliceStack
    volume: BoolArray
    slice_index: int | None = None

    @property
    def dimensions(self) -> int:
        """2 or 3."""
        return 3 if self.slice_index is None else 2

    @property
    def truth(self) -> BoolArray:
        """The true mask: (X, Y) in 2-D, (X, Y, S) in 3-D."""
        return self.part(self.volume)

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Edge lengths of a voxel along the axes of `truth`."""
        return self.stack.frame.grid.spacing_mm[: self.dimensions]

    @property
    def sequences(self) -> tuple[str, ...]:
        """Names of the sequences that show tissue where the label is."""
        shown = [self.slice_index] if self.slice_index is not None else self.slices_with_label
        with_tissue = self.stack.tissue[:, shown].any(axis=1)
        return tuple(n for n, seen in zip(self.stack.sequences, with_tissue, strict=True) if seen)

    @property
    def slices_with_label(self) -> list[int]:
        """Indices of the slices that show the label."""
        indices: list[int] = np.flatnonzero(self.volume.any(axis=(0, 1))).tolist()
        return indices

    def limits(self, sequences: tuple[str, ...]) -> PropagationLimits:
        """The slices and sequences that an answer may use; no sequences: all."""
        if self.slice_index is None:
            return PropagationLimits(max_slices=MAX_SLICES, sequences=sequences)
        return PropagationLimits(only_slice=self.slice_index, sequences=sequences)

    def part(self, mask: BoolArray) -> BoolArray:
        """The part of an (X, Y, S) mask that is compared with the truth."""
        return mask if self.slice_index is None else mask[..., self.slice_index]

    def in_volume(self, click: SimulatedClick) -> SimulatedClick:
        """A click on `truth` as a click on a voxel (i, j, k)."""
        if self.slice_index is None:
            return click
        return replace(click, index=(*click.index, self.slice_index))

    def on_slices(self, first: int, last: int) -> "Scene":
        """The same label in 3-D in a volume that ends at these two slices."""
        frame, kept = self.stack.frame, slice(first, last + 1)
        affine = frame.grid.affine_ras.copy()
        affine[:3, 3] += first * affine[:3, 2]
        x, y, _ = frame.grid.shape
        stack = replace(
            self.stack,
            pixels=self.stack.pixels[:, kept],
            tissue=self.stack.tissue[:, kept],
            frame=make_frame(Grid((x, y, last + 1 - first), affine), frame.size),
        )
        return replace(self, stack=stack, volume=self.volume[..., kept], slice_index=None)


def real_studies(folder: Path, target: Target, count: int) -> list[LabelledStudy]:
    """The first studies of a folder of real MRI that have a mask.

    Args:
        folder: the studies, with the masks beside them.
        target: the labels to read.
        count: the most studies.

    Raises:
        InputError: no study has a mask.
    """
    masks = find_masks(folder, target, pattern=MACHINE_MADE_MASKS.get(target.name))
    labels = {
        mask.study_id: mask.volume
        for mask in masks
        if isinstance(mask, ImportedLabel) and mask.study_id not in SKIPPED.get(target.name, ())
    }
    if not labels:
        raise InputError(
            f"no labelled study in {folder}",
            expected=f"the real MRI of {target.name}",
            remedy="set ZEUS_REAL_DATA to the folder above, for example ZEUS_REAL_DATA=../data",
        )
    first = dict(sorted(labels.items())[:count])
    return with_labels(folder, target, first)


def volumes_of(study: LabelledStudy, target: Target) -> Iterator[Scene]:
    """A scene in 3-D for each label that the study shows."""
    aligned = align_for(study.read_study(), target)
    stack = slice_stack(aligned, target.sequence_names)
    label_map = to_grid(study.read_label(), aligned.grid, order=0, fill=0.0).array
    for label in target.labels:
        mask = label_map == label.value
        if mask.any():
            yield Scene(target.name, study.id, label.name, stack, mask)


def slices_of(volume: Scene, count: int = SLICES) -> list[Scene]:
    """Scenes in 2-D: slices that show enough of the label, evenly spread."""
    frame = volume.stack.frame
    x, y, _ = frame.grid.shape
    px_per_voxel = frame.rows_px * frame.cols_px / (x * y)
    enough = np.flatnonzero(volume.volume.sum(axis=(0, 1)) * px_per_voxel >= LEAST_PX)
    chosen = np.linspace(0, len(enough) - 1, min(count, len(enough))).round().astype(int)
    return [replace(volume, slice_index=int(s)) for s in enough[chosen]]


def phantom_volumes(target: Target, *, studies: int, slices: int) -> Iterator[Scene]:
    """Labels of the first sample studies in 3-D, each cut to a few slices around its largest one.

    Args:
        target: of the sample studies.
        studies: number of sample studies.
        slices: most slices of each volume.
    """
    for study in labelled_phantoms(target, count=studies):
        for volume in volumes_of(study, target):
            middle = int(volume.volume.sum(axis=(0, 1)).argmax())
            first = min(max(middle - slices // 2, 0), volume.volume.shape[2] - slices)
            yield volume.on_slices(first, first + slices - 1)


def scenes_of(volume: Scene, dimensions: Sequence[int]) -> list[Scene]:
    """The scenes of a label that are asked for: slices (2), the volume (3) or both."""
    slices = slices_of(volume) if 2 in dimensions else []
    return [*slices, *([volume] if 3 in dimensions else [])]
