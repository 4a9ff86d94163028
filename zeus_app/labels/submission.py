"""A submitted label file: read, translated to the target's values, checked against its image."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from zeus_app.errors import InputError
from zeus_app.labels.files import label_grid, read_label
from zeus_app.labels.grids import check_label, check_size, describe_grid, in_order_of, same_place
from zeus_app.labels.segments import with_target_values
from zeus_app.targets import Target
from zeus_app.types import Grid, Volume, VolumeSource


def sequence_drawn_on(
    path: Path, sources: Mapping[str, VolumeSource], *, named: str, is_whole: bool
) -> str:
    """The sequence on whose grid a submitted label lies. Only headers are read.

    Args:
        path: the label file.
        sources: sequence name -> source, of the study.
        named: the sequence that the client named, or the reference.
        is_whole: whether the client named the study alone. Then the label may lie on any sequence.

    Returns:
        `named` if the label lies there, or nowhere: `read_submitted_label` then says the reason.

    Raises:
        InputError: the label lies on another sequence than the one that was named.
    """
    drawn = label_grid(path)
    others = (name for name in sources if name != named)
    if _lies_on(drawn, sources[named]):
        return named
    fitting = next((name for name in others if _lies_on(drawn, sources[name])), named)
    if fitting != named and not is_whole:
        raise InputError(
            f"a label for {named} that lies on the grid of {fitting}: {describe_grid(drawn)}",
            expected=f"the grid of {named}, {describe_grid(sources[named].grid())}",
            remedy=f"submit it for {fitting}, with image=<study>/{fitting}, or for the whole study",
        )
    return fitting


def _lies_on(drawn: Grid, source: VolumeSource) -> bool:
    """Whether a label lies where a sequence does. A sequence that cannot be read is no match."""
    try:
        return same_place(drawn, source.grid())
    except InputError:
        return False


def read_submitted_label(
    path: Path, *, target: Target, grid: Grid, label_info: object = None
) -> Volume:
    """Read a label file that a client submitted.

    Args:
        path: the file.
        target: the labels that it may hold.
        grid: the grid of the image that the label was drawn on.
        label_info: the client's list of segments, as `labels/segments.py` describes it.

    Returns:
        uint8 label map with the target's values, on `grid`.

    Raises:
        InputError: the file is damaged, lies on another grid, or holds unknown values or segments.
    """
    check_size(label_grid(path).shape, grid)  # before a voxel is read
    label = with_target_values(read_label(path), path, target=target, label_info=label_info)
    label = in_order_of(label, grid)
    check_label(label, grid, tuple(target.label_values.values()))
    return Volume(label.array.astype(np.uint8), grid.affine_ras)
