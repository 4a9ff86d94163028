"""What a report says about each label of a mask: volume, longest diameter, change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zeus_app.dicom.planes import Plane, read_planes
from zeus_app.dicom.report.diameter import Diameter, longest_diameter
from zeus_app.dicom.segmentation.sources import planes_of_grid
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.metrics import dice
from zeus_app.types import Volume


@dataclass(frozen=True, eq=False)
class MeasuredLine:
    """The longest diameter of a label, and the image in which it lies."""

    diameter: Diameter
    plane: Plane


@dataclass(frozen=True, eq=False)
class LabelMeasurement:
    """The measurements of one label.

    Attributes:
        label: name of the label.
        volume_ml: its volume; 0 for an empty label.
        line: its longest diameter in one slice of the series; None for an empty label.
        dice_before: Dice similarity with the label's version before, in [0, 1]; None without one.
    """

    label: str
    volume_ml: float
    line: MeasuredLine | None = None
    dice_before: float | None = None


def measure_labels(
    label_map: Volume,
    reference: DicomSeriesSource,
    values: Mapping[str, int],
    *,
    before: Volume | None = None,
) -> tuple[LabelMeasurement, ...]:
    """Measure each label of a mask that lies on the grid of a DICOM series.

    Args:
        label_map: uint8 labels on the source grid of the reference.
        reference: the series whose grid the label map has.
        values: name of each label -> its value.
        before: the version of the label map before, on the same grid.

    Raises:
        InputError: a file cannot be read, or a label map lies on another grid.
    """
    if before is not None and not before.grid.matches(label_map.grid):
        raise InputError(
            f"a version before on a grid of {before.grid}",
            expected=f"the grid of the label map, {label_map.grid}",
            remedy="resample the version before onto the grid of the label map",
        )
    planes = planes_of_grid(read_planes(reference), label_map.grid)
    return tuple(_measure(label, label_map, n, planes, before) for label, n in values.items())


def _measure(
    label: str, label_map: Volume, value: int, planes: Sequence[Plane], before: Volume | None
) -> LabelMeasurement:
    mask = label_map.array == value
    grid = label_map.grid
    diameter = longest_diameter(mask, grid.spacing_mm[:2])
    return LabelMeasurement(
        label=label,
        volume_ml=float(mask.sum()) * grid.voxel_ml,
        line=MeasuredLine(diameter, planes[diameter.slice_index]) if diameter else None,
        dice_before=None if before is None else dice(mask, before.array == value),
    )
