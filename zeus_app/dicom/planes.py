"""The planes of DICOM images: their places in the patient, in files of one or of many frames."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from zeus_app.dicom.content import START_BYTES, has_preamble
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.types import LPS_TO_RAS, Grid

Vector = npt.NDArray[np.float64]
LATTICE_TOLERANCE = 0.25
"""Largest distance between two voxel centres that count as one, in voxels. Slices of one series
may lie up to 10 % of their distance beside the even spacing of its grid."""


@dataclass(frozen=True, eq=False)
class Plane:
    """One frame of an image, as a plane in the patient (LPS mm).

    Attributes:
        image: the header of its file.
        frame: its number in the file, from 1; 0 in a file of one frame.
        position_lps: centre of the first pixel.
        orientation_lps: unit vectors along a row and along a column: (6,).
        spacing_mm: distance between rows, and between columns.
        thickness_mm: thickness of the slice; 0 if unknown.
        step_mm: Spacing Between Slices; 0 if unknown.
    """

    image: Dataset
    frame: int
    position_lps: Vector
    orientation_lps: Vector
    spacing_mm: tuple[float, float]
    thickness_mm: float
    step_mm: float

    @property
    def normal_lps(self) -> Vector:
        """Unit normal."""
        normal = np.cross(self.orientation_lps[:3], self.orientation_lps[3:])
        return np.asarray(normal / np.linalg.norm(normal))

    @property
    def pixel_affine_lps(self) -> Vector:
        """(3, 3): (column, row, 1) -> LPS mm, by DICOM PS3.3 C.7.6.2.1.1."""
        between_rows, between_columns = self.spacing_mm
        along_row, along_column = self.orientation_lps[:3], self.orientation_lps[3:]
        return np.column_stack(
            [along_row * between_columns, along_column * between_rows, self.position_lps]
        )

    @property
    def corners_px(self) -> Vector:
        """(3, 4): the centres of the corner pixels as (column, row, 1)."""
        last_column, last_row = int(self.image.Columns) - 1, int(self.image.Rows) - 1
        columns, rows = [0, last_column, 0, last_column], [0, 0, last_row, last_row]
        return np.array([columns, rows, [1, 1, 1, 1]], float)

    def voxel_map(self, grid: Grid) -> npt.NDArray[np.int64] | None:
        """Where the pixels lie in a grid, if each pixel is a voxel of it.

        Returns:
            (3, 3) integers: (column, row, 1) -> voxel index, or None if a pixel centre is further
            than `LATTICE_TOLERANCE` from a voxel's. The voxels may lie outside the grid's shape.
        """
        inverse = np.linalg.inv(LPS_TO_RAS @ grid.affine_ras)
        exact = inverse[:3, :3] @ self.pixel_affine_lps
        exact[:, 2] += inverse[:3, 3]
        whole = np.rint(exact)
        are_steps = np.abs(whole[:, :2]).sum(axis=0) == 1
        if not are_steps.all() or (np.abs(whole[:, :2]).sum(axis=1) > 1).any():
            return None
        error = np.abs((exact - whole) @ self.corners_px).max()
        return whole.astype(np.int64) if error <= LATTICE_TOLERANCE else None


def read_planes(source: DicomSeriesSource) -> tuple[Plane, ...]:
    """The planes of the frames of a series, in the order of its files. Pixels are not read.

    Raises:
        InputError: a file cannot be read, or a frame has no place in the patient.
    """
    planes: list[Plane] = []
    chosen = set(source.frames)
    for path in source.paths:
        try:
            with path.open("rb") as file:
                force = not has_preamble(file.read(START_BYTES))
                file.seek(0)
                image = pydicom.dcmread(file, stop_before_pixels=True, force=force)
            of_file = planes_of(image)
        except InputError:
            raise
        except Exception as error:  # pydicom raises exceptions of many types for damaged files
            raise InputError(
                f"{path.name} cannot be read as DICOM ({type(error).__name__})",
                expected="the DICOM files that the study was read from",
                remedy="copy the series again from its origin",
            ) from error
        planes += [p for p in of_file if not chosen or (path, p.frame - 1) in chosen]
    return tuple(planes)


def planes_of(image: Dataset) -> list[Plane]:
    """The planes of an image's frames, in their order.

    Raises:
        InputError: a frame has no position, orientation or pixel spacing.
    """
    per_frame = list(image.get("PerFrameFunctionalGroupsSequence") or ())
    shared = list(image.get("SharedFunctionalGroupsSequence") or ())[:1]
    if not per_frame and not shared:
        return [_plane(image, 0, [image])]
    count = int(image.get("NumberOfFrames") or 1)
    per_frame = per_frame or [Dataset()] * count
    return [
        _plane(image, number, [*_macros(groups), *(m for s in shared for m in _macros(s))])
        for number, groups in enumerate(per_frame[:count], start=1)
    ]


def _macros(groups: Dataset) -> list[Dataset]:
    names = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
    return [groups[name].value[0] for name in names if groups.get(name)]


def _plane(image: Dataset, frame: int, macros: list[Dataset]) -> Plane:
    position = _numbers(macros, "ImagePositionPatient", 3)
    orientation = _numbers(macros, "ImageOrientationPatient", 6)
    spacing = _numbers(macros, "PixelSpacing", 2)
    return Plane(
        image,
        frame,
        position,
        orientation,
        (float(spacing[0]), float(spacing[1])),
        abs(_number(macros, "SliceThickness")),
        abs(_number(macros, "SpacingBetweenSlices")),
    )


def _first(macros: list[Dataset], keyword: str) -> Any:
    return next((m.get(keyword) for m in macros if m.get(keyword) not in (None, "")), None)


def _number(macros: list[Dataset], keyword: str) -> float:
    return float(_first(macros, keyword) or 0.0)


def _numbers(macros: list[Dataset], keyword: str, count: int) -> Vector:
    values = np.array([float(value) for value in _first(macros, keyword) or ()])
    is_usable = len(values) == count and bool(np.isfinite(values).all())
    if keyword == "ImageOrientationPatient":
        is_usable = is_usable and _is_orientation(values)
    if keyword == "PixelSpacing":
        is_usable = is_usable and bool(values.min() > 0)
    if not is_usable:
        raise InputError(
            f"a DICOM frame without a usable {keyword}",
            expected="position, orientation and pixel spacing of every frame",
            remedy="export the object again, with Image Position (Patient) for every frame",
        )
    return values


def _is_orientation(values: Vector) -> bool:
    """Whether six numbers are two unit vectors at right angles, within 1 %."""
    lengths = np.linalg.norm(values.reshape(2, 3), axis=1)
    return bool(np.allclose(lengths, 1, atol=0.01) and abs(values[:3] @ values[3:]) < 0.01)
