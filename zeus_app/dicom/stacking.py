"""The grid of a series' slices: they are ordered by position and checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zeus_app.dicom.series import SliceHeader, normal_lps, without_copies
from zeus_app.errors import InputError
from zeus_app.types import LPS_TO_RAS, Affine, Grid
from zeus_app.volumes.voxels import SHEAR_TOLERANCE_VOXELS, checked_affine, not_one_number

_GAP_TOLERANCE = 0.1  # share of the median distance between slices
_SAME_POSITION_MM = 1e-3


@dataclass(frozen=True, eq=False)
class SliceStacking:
    """The images of a series in the order of their positions, and the volume's grid.

    Attributes:
        headers: headers of the images, one for each slice.
        grid: (columns, rows, slices).
    """

    headers: tuple[SliceHeader, ...]
    grid: Grid

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, each once, in the order of the first slice in each."""
        return tuple(dict.fromkeys(header.path for header in self.headers))


def stack_slices(headers: Sequence[SliceHeader]) -> SliceStacking:
    """Order the images of one series along their normal. Copies count once.

    Raises:
        InputError: a file does not say where its frames lie, is a mosaic or has colours, a header
            has no geometry, slices differ in size, direction or frame of reference, are missing or
            shifted sideways, or several images have one position.
    """
    headers = without_copies(headers)
    first = headers[0]
    folder = first.path.parent
    normal = _checked_normal(headers, folder)
    positions_mm = np.array([header.position_lps for header in headers]) @ normal
    order = np.argsort(positions_mm, kind="stable")
    ordered = [headers[i] for i in order]
    _check_one_each(ordered, positions_mm[order])
    _check_gaps(positions_mm[order], folder)
    rows, columns = first.shape
    affine = checked_affine(_affine_lps(ordered, normal), folder)
    _check_line(ordered, affine, normal)
    grid = Grid((columns, rows, len(ordered)), LPS_TO_RAS @ affine)
    return SliceStacking(tuple(ordered), grid)


def _checked_normal(headers: Sequence[SliceHeader], folder: Path) -> npt.NDArray[np.float64]:
    """The unit normal of parallel slices. Raises InputError for other headers."""
    first = headers[0]
    _check_kind(headers, folder)
    normal = normal_lps(first)
    if min(first.shape) < 1:
        raise _refused(
            f"{folder}: images without Rows and Columns",
            "MR images with pixels",
            "copy the series again from its origin",
        )
    if normal is None or any(h.position_lps is None or not h.spacing_mm for h in headers):
        raise _refused(
            f"{folder}: images without position, orientation or pixel spacing",
            "MR images with Image Position, Image Orientation (Patient) and Pixel Spacing",
            "export the original series instead of secondary captures",
        )
    if not all(_same_plane(first, header) for header in headers):
        raise _refused(
            f"{folder}: slices of different size, spacing or direction in one series",
            "parallel slices of one size",
            "remove localizers from the series",
        )
    spaces = {header.frame_of_reference for header in headers} - {""}
    if len(spaces) > 1:
        raise _refused(
            f"{folder}: images of {len(spaces)} frames of reference in one series, so their"
            " positions cannot be compared",
            "one Frame of Reference UID in all images of a series",
            "export the images of each frame of reference as a series of its own",
        )
    return normal


def _check_kind(headers: Sequence[SliceHeader], folder: Path) -> None:
    """Refuse files whose pixels are not one slice, or not one number each."""
    name = headers[0].description
    if any(header.frames > 1 and header.frame is None for header in headers):
        raise _refused(
            f"{folder}: a multi-frame DICOM file that does not say where each frame lies ({name})",
            "enhanced MR with functional groups for each frame, or one image per file",
            "convert the series to NIfTI, for example with dcm2niix",
        )
    if any(header.is_mosaic for header in headers):
        raise _refused(
            f"{folder}: a Siemens mosaic, all slices side by side in one image ({name})",
            "one image per slice",
            "convert the series to NIfTI, for example with dcm2niix",
        )
    if any(header.is_colour for header in headers):
        raise not_one_number(folder, f"colour pixels ({name})")


def _same_plane(first: SliceHeader, other: SliceHeader) -> bool:
    return (
        first.shape == other.shape
        and np.allclose(first.orientation_lps or 0, other.orientation_lps or 9, atol=1e-3)
        and np.allclose(first.spacing_mm or 0, other.spacing_mm or 9, rtol=1e-3)
    )


def _check_one_each(ordered: Sequence[SliceHeader], positions_mm: npt.NDArray[np.float64]) -> None:
    """Refuse several images at one of the sorted positions, and say in what they differ."""
    is_same = np.diff(positions_mm) < _SAME_POSITION_MM
    if not is_same.any():
        return
    different = int(np.count_nonzero(~is_same)) + 1
    came = f"{ordered[0].path.parent}: {len(ordered)} images at {different} positions"
    b_values = sorted({header.b_value for header in ordered if header.b_value is not None})
    echoes_ms = sorted({header.echo[1] for header in ordered})
    time_points = {header.time_point for header in ordered}
    if len(b_values) > 1:
        came += f", of the b-values {', '.join(f'{b:g}' for b in b_values)} s/mm²"
        remedy = "give each b-value a folder or a series of its own"
    elif len(echoes_ms) > 1:
        came += f", of the echo times {', '.join(f'{time:g}' for time in echoes_ms)} ms"
        remedy = "give each echo a folder or a series of its own"
    elif len(time_points) > 1:
        came += f": a time series (dynamic) of {len(time_points)} time points or repetitions"
        remedy = "export one time point, or the mean, as a series of its own"
    else:
        remedy = "remove copies, or split the series by diffusion direction or time point"
    raise _refused(came, "one image per position", remedy)


def _check_gaps(positions_mm: npt.NDArray[np.float64], folder: Path) -> None:
    """Refuse sorted positions that are not evenly spaced."""
    if len(positions_mm) < 2:
        return
    gaps = np.diff(positions_mm)
    median = float(np.median(gaps))
    uneven = np.flatnonzero(np.abs(gaps - median) > _GAP_TOLERANCE * median)
    if len(uneven):
        first = uneven[0]
        raise _refused(
            f"{folder}: slices {first} and {first + 1} are {gaps[first]:.2f} mm apart, the others "
            f"{median:.2f} mm; a slice is missing",
            "evenly spaced slices",
            "copy the complete series again",
        )


def _affine_lps(ordered: Sequence[SliceHeader], normal: npt.NDArray[np.float64]) -> Affine:
    """The affine of DICOM PS3.3 C.7.6.2.1.1. The third column is the step between slices."""
    first, last = ordered[0], ordered[-1]
    start = np.array(first.position_lps)
    step = normal * first.thickness_mm
    if len(ordered) > 1:
        step = (np.array(last.position_lps) - start) / (len(ordered) - 1)
    between_rows, between_columns = first.spacing_mm or (1.0, 1.0)
    orientation = np.array(first.orientation_lps)
    affine = np.eye(4)
    affine[:3, 0] = orientation[:3] * between_columns
    affine[:3, 1] = orientation[3:] * between_rows
    affine[:3, 2] = step
    affine[:3, 3] = start
    return affine


def _check_line(
    ordered: Sequence[SliceHeader], affine_lps: Affine, normal: npt.NDArray[np.float64]
) -> None:
    """Refuse slices that are shifted sideways from the line of the volume's affine."""
    first = ordered[0]
    steps = np.arange(len(ordered))[:, None] * affine_lps[:3, 2]
    apart = np.array([header.position_lps for header in ordered]) - affine_lps[:3, 3] - steps
    sideways_mm = np.linalg.norm(apart - np.outer(apart @ normal, normal), axis=1)
    worst = int(sideways_mm.argmax())
    if sideways_mm[worst] > SHEAR_TOLERANCE_VOXELS * min(first.spacing_mm or (1.0,)):
        raise _refused(
            f"{first.path.parent}: slice {worst} is shifted sideways by {sideways_mm[worst]:.2f} mm"
            " from the line through the first and the last",
            "slices in one line",
            "export the original series again, or resample it onto a grid with right angles",
        )


def _refused(came: str, expected: str, remedy: str) -> InputError:
    return InputError(came, expected=expected, remedy=remedy)
