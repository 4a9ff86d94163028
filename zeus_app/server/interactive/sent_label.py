"""The label file that comes with an inference: scribbles, a mask to refine, or both.

3D Slicer sends its whole segmentation, with the scribbles as the segments `background_scribbles`
and `foreground_scribbles`, and names the segments in `label_info`. The segment of the label that
the scribbles belong to is the mask to refine. Other segments of the target are kept: the new mask
does not take their voxels.

A file without names holds scribbles (2 outside the label, 3 on it), as in
PUT /zeus/clicks/{study}/scribbles, with or without the label's own mask beside them. A file
without a 2 and a 3 is a mask to refine, with the target's values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zeus_app.errors import InputError
from zeus_app.labels.files import label_errors
from zeus_app.labels.grids import check_values, describe_grid, same_place
from zeus_app.labels.segments import segment_names, with_target_values
from zeus_app.labels.values import listed, with_whole_values
from zeus_app.targets import Target
from zeus_app.types import Grid, Volume
from zeus_app.volumes.sources import read_voxels
from zeus_app.volumes.uploads import check_upload, header_grid

SCRIBBLE_BACKGROUND, SCRIBBLE_FOREGROUND = 2, 3
"""Values of scribbles in a label volume, as MONAI Label's clients draw them."""
MAX_SCRIBBLED_VOXELS = 1_000_000
_SEGMENTS = {
    "background_scribbles": SCRIBBLE_BACKGROUND,
    "foreground_scribbles": SCRIBBLE_FOREGROUND,
}
"""Name of a segment of 3D Slicer -> value of scribbles."""


@dataclass(frozen=True)
class DrawnMasks:
    """The label volumes that a request refers to, each on a grid of its own.

    Attributes:
        initial: the mask to refine, with the target's values; or None.
        scribbles: with the values SCRIBBLE_BACKGROUND and SCRIBBLE_FOREGROUND; or None.
        others: the segments of other labels beside scribbles, with the target's values; or None.
    """

    initial: Volume | None = None
    scribbles: Volume | None = None
    others: Volume | None = None


def read_sent_label(
    path: Path,
    *,
    target: Target,
    label: str,
    label_info: object,
    grids: Mapping[str, Grid],
    max_voxels: int,
) -> DrawnMasks:
    """Read the label file that came with an inference.

    Args:
        path: the file.
        target: its labels' values are those of a mask to refine.
        label: name of the label that the scribbles belong to.
        label_info: the client's list of segments, as `labels/segments.py` describes it.
        grids: sequence name -> grid of the study's images. The file lies on one of them, in any
            storage order.
        max_voxels: most voxels of an upload.

    Raises:
        InputError: the file is damaged, lies on another grid, or holds values without a meaning.
    """
    check_upload(path, max_voxels=max_voxels)
    check_drawn_grid(header_grid(path), grids)
    volume = read_drawn(path)
    names = segment_names(path, label_info)
    if _SEGMENTS.keys() & names.values():
        meaning = {value: _SEGMENTS[name] for value, name in names.items() if name in _SEGMENTS}
        masked = {value for value, name in names.items() if name == label}
        values = target.label_values
        kept = {v: values[n] for v, n in names.items() if n in values and n != label}
    elif names or not _has_scribbles(volume):
        initial = with_target_values(volume, path, target=target, label_info=label_info)
        check_values(initial, tuple(target.label_values.values()))
        return DrawnMasks(initial=initial)
    else:
        meaning = {float(value): value for value in _SEGMENTS.values()}
        masked = {float(target.label_values[label])} - meaning.keys()
        kept = {}
        _refuse_other_values(volume, {*meaning, *masked}, path)
    scribbles = _translated(volume, meaning)
    check_count(scribbles)
    mask = _translated(volume, dict.fromkeys(masked, target.label_values[label]))
    return DrawnMasks(
        initial=mask if mask.array.any() else None,
        scribbles=scribbles,
        others=_translated(volume, kept),
    )


def read_drawn(path: Path) -> Volume:
    """Read a label map that a client drew, with whole values, in any format of an image.

    Raises:
        InputError: the file is damaged, holds several label maps, or holds fractions.
    """
    with label_errors(path):
        volume = read_voxels(path)
    return with_whole_values(volume, f"label file {path.name}")


def check_drawn_grid(drawn: Grid, grids: Mapping[str, Grid]) -> None:
    """Refuse scribbles that lie on the grid of no sequence of their study. Raises InputError."""
    if not any(same_place(drawn, grid) for grid in grids.values()):
        raise InputError(
            f"scribbles on another grid than the study's images: {describe_grid(drawn)}",
            expected=" or ".join(
                f"that of {sequence}, {describe_grid(grid)}" for sequence, grid in grids.items()
            ),
            remedy="draw them on the image that GET /datastore/image sends",
        )


def check_count(scribbles: Volume) -> None:
    """Refuse more scribbled voxels than MAX_SCRIBBLED_VOXELS. Raises InputError."""
    marks = int(np.count_nonzero(scribbles.array))
    if marks > MAX_SCRIBBLED_VOXELS:
        raise InputError(
            f"scribbles of {marks} voxels",
            expected=f"at most {MAX_SCRIBBLED_VOXELS}",
            remedy="draw thin lines, or send the mask with PUT /zeus/clicks/{study}/initial_mask",
        )


def _has_scribbles(volume: Volume) -> bool:
    return bool(np.isin(volume.array, list(_SEGMENTS.values())).any())


def _refuse_other_values(volume: Volume, known: set[float], path: Path) -> None:
    """Refuse values without a meaning beside scribbles; they may be those of other labels."""
    others = volume.array[~np.isin(volume.array, [0, *known])]
    if others.size:
        raise InputError(
            f"label file {path.name} with the values {SCRIBBLE_BACKGROUND} or"
            f" {SCRIBBLE_FOREGROUND} of scribbles, and {listed(others)}",
            expected=f"scribbles alone: {SCRIBBLE_BACKGROUND} outside the label,"
            f" {SCRIBBLE_FOREGROUND} on it",
            remedy="name each value in label_info, for example"
            ' [{"name": "background_scribbles", "id": 5}, {"name": "foreground_scribbles",'
            ' "id": 6}]',
        )


def _translated(volume: Volume, meaning: Mapping[float, int]) -> Volume:
    """uint8: each voxel's new value; 0 for values without a meaning."""
    array = np.zeros(volume.array.shape, np.uint8)
    for value, new in meaning.items():
        array[volume.array == value] = new
    return Volume(array, volume.affine_ras)
