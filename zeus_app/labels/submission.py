"""A submitted label file: read, translated to the target's values, checked against its image."""

from pathlib import Path

import numpy as np

from zeus_app.labels.files import label_shape, read_label
from zeus_app.labels.grids import check_label, check_size, in_order_of
from zeus_app.labels.segments import with_target_values
from zeus_app.targets import Target
from zeus_app.types import Grid, Volume


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
    check_size(label_shape(path), grid)  # before a voxel is read
    label = with_target_values(read_label(path), path, target=target, label_info=label_info)
    label = in_order_of(label, grid)
    check_label(label, grid, tuple(target.label_values.values()))
    return Volume(label.array.astype(np.uint8), grid.affine_ras)
