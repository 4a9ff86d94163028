"""Points and a box in voxels of a sequence, as the click segmenter takes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zeus_app.errors import InputError
from zeus_app.prompts.propagation import PropagationLimits
from zeus_app.prompts.types import StudyPrompt, Voxel, cut_box, outside
from zeus_app.settings.registry import lookup
from zeus_app.studies.opened import OpenedStudy
from zeus_app.targets import Target
from zeus_app.types import Grid

MOST_SLICES = 64
"""Slices that a mask is propagated to, in each direction, as by the server."""
Point = Sequence[float]


@dataclass(frozen=True)
class Prompt:
    """What a user marks of one label.

    Attributes:
        sequence: the sequence whose voxels are counted; "" for the study's reference.
        foreground: (i, j, k) voxels on the label.
        background: (i, j, k) voxels outside it.
        box: two opposite corner voxels, or None.
        label: name of the label; "" for the target's first.
    """

    sequence: str = ""
    foreground: Sequence[Point] = ()
    background: Sequence[Point] = ()
    box: tuple[Point, Point] | None = None
    label: str = ""


def grid_of(study: OpenedStudy, sequence: str) -> Grid:
    """The grid of a sequence as stored; of the reference for "".

    Raises:
        InputError: the study does not have it.
    """
    name = sequence or study.reference
    if name not in study.source_grids:
        raise InputError(
            f"sequence {name!r}: study {study.id!r} does not have it",
            expected=", ".join(study.used),
            remedy=f"choose for example {study.reference}",
        )
    return study.source_grids[name]


def read_prompt(
    prompt: Prompt, study: OpenedStudy, target: Target
) -> tuple[dict[int, StudyPrompt], int]:
    """The prompt on the study's canonical grid: label index -> prompts; and the label's index.

    Raises:
        InputError: a point or the box lies outside the image, or nothing says where the label is.
        UnknownNameError: the target has no such label.
    """
    grid = grid_of(study, prompt.sequence)
    index = {name: k for k, name in enumerate(target.label_names)}
    k = lookup("label", prompt.label or target.label_names[0], index)
    given = StudyPrompt(
        tuple(map(_voxel, prompt.foreground)),
        tuple(map(_voxel, prompt.background)),
        None if prompt.box is None else (_voxel(prompt.box[0]), _voxel(prompt.box[1])),
    )
    _refuse_outside(given, grid)
    return {k: given.on(study.grid, grid)}, k


def limits_for(study: OpenedStudy, *, all_slices: bool) -> PropagationLimits:
    """The slices and sequences that an answer may use."""
    return PropagationLimits(max_slices=MOST_SLICES if all_slices else 0, sequences=study.used)


def _voxel(point: Point) -> Voxel:
    values = np.asarray(point, np.float64)
    if values.shape != (3,) or not np.isfinite(values).all():
        raise InputError(
            f"a point {point!r}",
            expected="three numbers (i, j, k): voxel indices of the image",
            remedy="give for example (120, 96, 14)",
        )
    i, j, k = values.tolist()
    return i, j, k


def _refuse_outside(prompt: StudyPrompt, grid: Grid) -> None:
    if not prompt.foreground and prompt.box is None:
        raise InputError(
            "a click without a point on the label",
            expected="a foreground point, or a box",
            remedy="give for example foreground=[(120, 96, 14)]",
        )
    for voxel in outside((*prompt.foreground, *prompt.background), grid):
        raise InputError(
            f"a point at voxel {list(voxel)}",
            expected=f"a voxel of the image, {grid}",
            remedy="give voxel indices (i, j, k) of that image, not mm",
        )
    if prompt.box is not None and cut_box(prompt.box, grid) is None:
        raise InputError(
            f"a box from voxel {list(prompt.box[0])} to {list(prompt.box[1])}",
            expected=f"a box that reaches into the image, {grid}",
            remedy="give voxel indices of that image, not mm",
        )
