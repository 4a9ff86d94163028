"""DICOM headers, and the grid of a series' slices. Pixels are not read here."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.errors import InvalidDicomError

from zeus_app.errors import InputError
from zeus_app.types import LPS_TO_RAS, Affine, Grid

_B_VALUE = (0x0018, 0x9087)
_SIEMENS_B, _SIEMENS_CREATOR = (0x0019, 0x100C), (0x0019, 0x0010)
_GE_B, _GE_CREATOR = (0x0043, 0x1039), (0x0043, 0x0010)
_PHILIPS_B, _PHILIPS_CREATOR = (0x2001, 0x1003), (0x2001, 0x0010)
_TAGS: list[Any] = [
    "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "ProtocolName",
    "PatientID", "StudyDate", "Modality", "ImageType", "SequenceName", "NumberOfFrames", "Rows",
    "Columns", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "SliceThickness", "SpacingBetweenSlices",
    _B_VALUE, _SIEMENS_B, _SIEMENS_CREATOR, _GE_B, _GE_CREATOR, _PHILIPS_B, _PHILIPS_CREATOR,
]  # fmt: skip
# Warnings about a value quote it, and it may name the patient. What is damaged still raises.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
_GAP_TOLERANCE = 0.1  # share of the median distance between slices


@dataclass(frozen=True)
class SliceHeader:
    """The fields of one DICOM image's header that Zeus uses.

    Attributes:
        position_lps: Image Position (Patient), LPS mm; None if absent.
        orientation_lps: Image Orientation (Patient), two unit vectors in LPS; None if absent.
        spacing_mm: distance between rows, and between columns.
        thickness_mm: distance between slices, used for a series of one slice.
        patient_id: Patient ID. It groups studies, and is never shown, logged or stored.
        b_value: diffusion weighting in s/mm²; None if the header has none.
        frames: number of images in the file.
    """

    path: Path
    study_uid: str
    series_uid: str
    series_number: str
    description: str
    patient_id: str = field(repr=False)
    study_date: str
    modality: str
    image_type: tuple[str, ...]
    shape: tuple[int, int]
    position_lps: tuple[float, ...] | None
    orientation_lps: tuple[float, ...] | None
    spacing_mm: tuple[float, ...] | None
    thickness_mm: float
    b_value: float | None
    frames: int


@dataclass(frozen=True, eq=False)
class SliceStacking:
    """The files of a series in the order of their positions, and the volume's grid."""

    paths: tuple[Path, ...]
    grid: Grid  # (columns, rows, slices)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its suffix or its first 132 bytes."""
    if path.name.startswith(".") or path.name.upper() == "DICOMDIR":
        return False
    if path.suffix.lower() in {".dcm", ".dicom", ".ima"}:
        return True
    if path.suffix and not path.suffix[1:].isdigit():  # UIDs as names end in ".<digits>"
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_header(path: Path) -> SliceHeader:
    """Read one header.

    Raises:
        InputError: the file is not DICOM, or its header is truncated or damaged.
    """
    try:
        data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
        return _parsed(path, data)
    except Exception as error:  # pydicom raises exceptions of many types for damaged files
        raise InputError(
            f"{path} cannot be read: {_without_values(error)}",
            expected="a complete DICOM image",
            remedy="copy the file again from its origin, or remove it from the studies folder",
        ) from error


def _without_values(error: Exception) -> str:
    """What an error says. Texts of most types may hold values, and a value may name the patient."""
    is_general = isinstance(error, OSError | EOFError | InvalidDicomError | InputError)
    return str(error) if is_general else f"its header is damaged ({type(error).__name__})"


def _parsed(path: Path, data: Any) -> SliceHeader:
    def text(name: str) -> str:
        return str(data.get(name) or "").strip()

    def numbers(name: str, count: int) -> tuple[float, ...] | None:
        values = tuple(float(value) for value in data.get(name) or ())
        return values if len(values) == count else None

    thickness = data.get("SpacingBetweenSlices") or data.get("SliceThickness") or 1.0
    return SliceHeader(
        path=path,
        study_uid=text("StudyInstanceUID"),
        series_uid=text("SeriesInstanceUID"),
        series_number=text("SeriesNumber"),
        description=text("SeriesDescription") or text("ProtocolName"),
        patient_id=text("PatientID"),
        study_date=text("StudyDate"),
        modality=text("Modality"),
        image_type=tuple(str(part).upper() for part in data.get("ImageType") or ()),
        shape=(int(data.get("Rows") or 0), int(data.get("Columns") or 0)),
        position_lps=numbers("ImagePositionPatient", 3),
        orientation_lps=numbers("ImageOrientationPatient", 6),
        spacing_mm=numbers("PixelSpacing", 2),
        thickness_mm=abs(float(thickness)) or 1.0,
        b_value=_b_value(data),
        frames=int(data.get("NumberOfFrames") or 1),
    )


def _b_value(data: Any) -> float | None:
    """The b-value: the standard's element, else the vendor's (DICOM conformance statements)."""
    if _B_VALUE in data:
        return _number(data[_B_VALUE].value)
    for creator, element in (
        (_SIEMENS_CREATOR, _SIEMENS_B),
        (_GE_CREATOR, _GE_B),
        (_PHILIPS_CREATOR, _PHILIPS_B),
    ):
        if creator in data and element in data:
            value = _number(data[element].value)
            # GE adds 1e9 to the b-value of some images.
            return value % 1e9 if value is not None and element == _GE_B else value
    sequence = re.search(r"_b(\d+)t?$", str(data.get("SequenceName") or ""))
    return float(sequence.group(1)) if sequence else None


def _number(value: Any) -> float | None:
    """A float from a number, a text, bytes, or the first of several values; None if none is."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "ignore").strip("\0 ").split("\\")[0]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        value = value[0] if value else None
    try:
        return float(cast(str, value))
    except (TypeError, ValueError):
        return None


def normal_lps(header: SliceHeader) -> npt.NDArray[np.float64] | None:
    """Unit normal vector of the slice, LPS; None if the header has no valid orientation."""
    if header.orientation_lps is None:
        return None
    normal = np.cross(header.orientation_lps[:3], header.orientation_lps[3:])
    length = float(np.linalg.norm(normal))
    return normal / length if length > 0.9 else None


def is_axial(header: SliceHeader) -> bool:
    """Whether the slice's normal is closest to the patient's long axis."""
    normal = normal_lps(header)
    return normal is not None and int(np.argmax(np.abs(normal))) == 2


def stack_slices(headers: Sequence[SliceHeader]) -> SliceStacking:
    """Order the single-frame images of one series along their normal.

    Raises:
        InputError: a file has several frames, a header has no geometry, slices differ in size or
            direction, several images have one position, or slices are missing.
    """
    first = headers[0]
    folder = first.path.parent
    normal = _checked_normal(headers, folder)
    positions_mm = np.array([header.position_lps for header in headers]) @ normal
    order = np.argsort(positions_mm, kind="stable")
    _check_gaps(positions_mm[order], folder)
    ordered = [headers[i] for i in order]
    rows, columns = first.shape
    grid = Grid((columns, rows, len(ordered)), LPS_TO_RAS @ _affine_lps(ordered, normal))
    return SliceStacking(tuple(header.path for header in ordered), grid)


def _checked_normal(headers: Sequence[SliceHeader], folder: Path) -> npt.NDArray[np.float64]:
    """The unit normal of parallel single-frame slices. Raises InputError for other headers."""
    first = headers[0]
    normal = normal_lps(first)
    if any(header.frames > 1 for header in headers):
        raise _refused(
            f"{folder}: an enhanced, multi-frame DICOM file ({first.description})",
            "one image per file",
            "convert the series to NIfTI, for example with dcm2niix",
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
    return normal


def _same_plane(first: SliceHeader, other: SliceHeader) -> bool:
    return (
        first.shape == other.shape
        and np.allclose(first.orientation_lps or 0, other.orientation_lps or 9, atol=1e-3)
        and np.allclose(first.spacing_mm or 0, other.spacing_mm or 9, rtol=1e-3)
    )


def _check_gaps(positions_mm: npt.NDArray[np.float64], folder: Path) -> None:
    """Refuse sorted positions that are not evenly spaced."""
    if len(positions_mm) < 2:
        return
    gaps = np.diff(positions_mm)
    if gaps.min() < 1e-3:
        different = int(np.count_nonzero(gaps >= 1e-3)) + 1
        raise _refused(
            f"{folder}: {len(positions_mm)} images at {different} positions",
            "one image per position",
            "split the series by b-value, echo or time point",
        )
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


def _refused(came: str, expected: str, remedy: str) -> InputError:
    return InputError(came, expected=expected, remedy=remedy)
