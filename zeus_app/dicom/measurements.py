"""What a report says about each label of a mask: volume, longest diameter, change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zeus_app.dicom.diameter import Diameter, longest_diameter
from zeus_app.dicom.series import read_header
from zeus_app.dicom.stacking import stack_slices
from zeus_app.errors import InputError
from zeus_app.metrics import dice
from zeus_app.types import Grid, Volume


@dataclass(frozen=True)
class LabelMeasurement:
    """The measurements of one label.

    Attributes:
        label: name of the label.
        volume_ml: its volume; 0 for an empty label.
        diameter: its longest diameter in one slice of the series; None for an empty label.
        sop_uid: SOP Instance UID of the image in which the diameter lies; empty without one.
        dice_before: Dice similarity with the label's version before, in [0, 1]; None without one.
    """

    label: str
    volume_ml: float
    diameter: Diameter | None = None
    sop_uid: str = ""
    dice_before: float | None = None


def measure_labels(
    label_map: Volume,
    series: Sequence[Path],
    values: Mapping[str, int],
    *,
    before: Volume | None = None,
) -> tuple[LabelMeasurement, ...]:
    """Measure each label of a mask that lies on the grid of a DICOM series.

    Args:
        label_map: uint8 labels on the grid that `stack_slices` reads from the series.
        series: the files of the series, in any order.
        values: name of each label -> its value.
        before: the version of the label map before, on the same grid.

    Raises:
        InputError: a file cannot be read, or a label map lies on another grid.
    """
    headers = [read_header(path) for path in series]
    stack = stack_slices(headers)
    for volume in (label_map, before):
        _check_grid(volume, stack.grid)
    uids = {header.path: header.sop_uid for header in headers}
    slice_uids = [uids[path] for path in stack.paths]
    return tuple(
        _measure(label, label_map, value, slice_uids, before) for label, value in values.items()
    )


def _measure(
    label: str, label_map: Volume, value: int, slice_uids: Sequence[str], before: Volume | None
) -> LabelMeasurement:
    mask = label_map.array == value
    grid = label_map.grid
    diameter = longest_diameter(mask, grid.spacing_mm[:2])
    return LabelMeasurement(
        label=label,
        volume_ml=float(mask.sum()) * grid.voxel_ml,
        diameter=diameter,
        sop_uid=slice_uids[diameter.slice_index] if diameter else "",
        dice_before=None if before is None else dice(mask, before.array == value),
    )


def _check_grid(volume: Volume | None, grid: Grid) -> None:
    if volume is not None and not volume.grid.matches(grid):
        raise InputError(
            f"a label map on a grid of {volume.grid}",
            expected=f"the grid of the DICOM series, {grid}",
            remedy="resample the label map onto the grid of the series that it was drawn on",
        )
