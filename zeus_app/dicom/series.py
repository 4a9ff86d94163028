"""DICOM headers: one for each slice, in a file of its own or a frame. Pixels are not read here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.errors import InvalidDicomError

from zeus_app.dicom import b_values
from zeus_app.dicom.content import START_BYTES, has_preamble, is_data_set, starts_like_dicom
from zeus_app.dicom.enhanced import FRAME_TAGS, frames_of, is_enhanced
from zeus_app.errors import InputError
from zeus_app.volumes.sources import VOLUME_SUFFIXES

_SIEMENS, _MOSAIC = (0x0019, 0x0010), (0x0019, 0x100A)  # creator, and number of images in a mosaic
HEADER_TAGS: list[Any] = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber",
    "SeriesDescription", "ProtocolName", "ContrastBolusAgent", "EchoNumbers", "EchoTime",
    "PatientID", "StudyDate", "Modality", "ImageType", "ComplexImageComponent", "SequenceName",
    "NumberOfFrames", "Rows", "Columns", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "FrameOfReferenceUID",
    "TemporalPositionIdentifier", "AcquisitionNumber", "InstanceNumber", "RescaleSlope",
    "RescaleIntercept", "PhotometricInterpretation", _MOSAIC, _SIEMENS, *b_values.TAGS,
]  # fmt: skip
# Warnings about a value quote it, and it may name the patient. What is damaged still raises.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
Read = TypeVar("Read")
_COMPLEX = frozenset({"PHASE", "REAL", "IMAGINARY"})  # besides the magnitude
_DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})


@dataclass(frozen=True)
class SliceHeader:
    """The fields of one DICOM image's header that Zeus uses.

    Attributes:
        position_lps: Image Position (Patient), LPS mm; None if absent.
        orientation_lps: Image Orientation (Patient), two unit vectors in LPS; None if absent.
        spacing_mm: distance between rows, and between columns.
        thickness_mm: distance between slices, used for a series of one slice.
        description: Series Description, else Protocol Name.
        protocol: Protocol Name.
        patient_id: Patient ID. It groups studies, and is never shown, logged or stored.
        contrast_agent: Contrast/Bolus Agent; empty if absent.
        echo: number of the echo and its time in ms; the same for all images of one echo.
        b_value: diffusion weighting in s/mm²; None if the header has none.
        is_isotropic: whether it is the mean of all diffusion directions; None if that is unknown.
        number: Instance Number.
        frames: number of images in the file.
        frame: number of the image in its file, from 0, if the file says where each image lies.
            None for a file of one image, and for one that does not say it.
        stack: name of the stack of parallel slices; empty if the file names none.
        time_point: number of the time point, or of the acquisition; empty if there is none.
        sop_class: UID that says what kind of object the file holds.
        frame_of_reference: UID of the space that positions are told in; empty if absent.
        slope, intercept: from the stored number of a pixel to its value.
        is_mosaic: whether its pixels are all slices of a volume side by side (Siemens).
        is_colour: whether its pixels are colours.
    """

    path: Path
    sop_uid: str
    study_uid: str
    series_uid: str
    series_number: str
    description: str
    protocol: str
    contrast_agent: str
    echo: tuple[int, float]
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
    is_isotropic: bool | None
    number: str
    frames: int
    frame: int | None
    stack: str
    time_point: str
    sop_class: str
    frame_of_reference: str
    slope: float
    intercept: float
    is_mosaic: bool
    is_colour: bool


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM: by the suffix that only DICOM files have, or by its first bytes.

    A file with such a suffix and other content is a damaged DICOM file, which `read_header` tells.
    """
    name = path.name.lower()
    if name.startswith((".", "dicomdir")) or name.endswith(VOLUME_SUFFIXES):
        return False
    if path.suffix.lower() in _DICOM_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return starts_like_dicom(file.read(START_BYTES))
    except OSError:
        return False


def read_header(path: Path) -> SliceHeader:
    """Read what a file's header says outside the functional groups of frames.

    Raises:
        InputError: the file is not DICOM, or its header is truncated or damaged.
    """
    return guarded(lambda: header_of(read_elements(path, HEADER_TAGS), path), path)


def read_headers(path: Path) -> list[SliceHeader]:
    """Read the headers of all images in a file: one, or that of each frame.

    Raises:
        InputError: as `read_header`.
    """

    def read() -> list[SliceHeader]:
        data = read_elements(path, HEADER_TAGS)
        if is_enhanced(data):  # the groups of frames are large, so other files' are not read
            data = read_elements(path, HEADER_TAGS + FRAME_TAGS)
        return headers_of(data, path)

    return guarded(read, path)


def read_elements(path: Path, tags: list[Any] | None = None) -> pydicom.FileDataset:
    """The data set of a file: some elements without pixels, or all with them.

    Raises:
        Exception: of one of many types, if the file is damaged.
    """
    with path.open("rb") as file:
        start = file.read(START_BYTES)
        file.seek(0)
        return pydicom.dcmread(
            file,
            stop_before_pixels=tags is not None,
            specific_tags=tags,
            force=is_data_set(start) and not has_preamble(start),
        )


def guarded(read: Callable[[], Read], path: Path, *, damage: str = "its header is damaged") -> Read:
    """What a reader returns. Its exception becomes an InputError that names the file.

    pydicom raises exceptions of many types for damaged files. Most may quote a value, which may
    name the patient, so only their type is told.
    """
    try:
        return read()
    except InputError:
        raise
    except Exception as error:
        is_general = isinstance(error, OSError | EOFError | InvalidDicomError)
        reason = str(error) if is_general else f"{damage} ({type(error).__name__})"
        raise InputError(
            f"{path} cannot be read: {reason}",
            expected="a complete DICOM image",
            remedy="copy the file again from its origin, or remove it from the studies folder",
        ) from error


def headers_of(data: pydicom.Dataset, path: Path) -> list[SliceHeader]:
    """The headers of all images in a data set: one, or that of each frame of an enhanced MR image.

    Args:
        data: as for `header_of`, with the functional groups of frames if there are any.
        path: the file, which need not exist yet.

    Raises:
        ValueError, TypeError: as `header_of`, or functional groups are missing.
    """
    if not is_enhanced(data):
        return [header_of(data, path)]
    frames = enumerate(frames_of(data))
    return [replace(header_of(frame, path), frame=number) for number, frame in frames]


def header_of(data: pydicom.Dataset, path: Path) -> SliceHeader:
    """The header of one image in a data set, which may come from a file or from DICOMweb's JSON.

    Args:
        data: the image's elements; pixels are not needed.
        path: the image's file, which need not exist yet.

    Raises:
        ValueError, TypeError: an element holds something else than the standard says.
    """

    def text(name: str) -> str:
        return str(data.get(name) or "").strip()

    def texts(name: str) -> tuple[str, ...]:
        value = data.get(name) or ()
        return tuple(str(part).upper() for part in ([value] if isinstance(value, str) else value))

    def numbers(name: str, count: int) -> tuple[float, ...] | None:
        values = tuple(float(value) for value in data.get(name) or ())
        return values if len(values) == count else None

    def integer(name: str) -> int:
        return int(b_values.number(data.get(name)) or 0)

    thickness = data.get("SpacingBetweenSlices") or data.get("SliceThickness") or 1.0
    return SliceHeader(
        path=path,
        sop_uid=text("SOPInstanceUID"),
        study_uid=text("StudyInstanceUID"),
        series_uid=text("SeriesInstanceUID"),
        series_number=text("SeriesNumber"),
        description=text("SeriesDescription") or text("ProtocolName"),
        protocol=text("ProtocolName"),
        contrast_agent=text("ContrastBolusAgent"),
        echo=(integer("EchoNumbers"), b_values.number(data.get("EchoTime")) or 0.0),
        patient_id=text("PatientID"),
        study_date=text("StudyDate"),
        modality=text("Modality"),
        image_type=texts("ImageType") + tuple(_COMPLEX & set(texts("ComplexImageComponent"))),
        shape=(int(data.get("Rows") or 0), int(data.get("Columns") or 0)),
        position_lps=numbers("ImagePositionPatient", 3),
        orientation_lps=numbers("ImageOrientationPatient", 6),
        spacing_mm=numbers("PixelSpacing", 2),
        thickness_mm=abs(float(thickness)) or 1.0,
        b_value=b_values.b_value(data),
        is_isotropic=b_values.is_isotropic(data),
        number=text("InstanceNumber"),
        frames=int(data.get("NumberOfFrames") or 1),
        frame=None,
        stack=text("StackID"),
        time_point=text("TemporalPositionIdentifier") or text("AcquisitionNumber"),
        sop_class=text("SOPClassUID"),
        frame_of_reference=text("FrameOfReferenceUID"),
        slope=b_values.number(data.get("RescaleSlope")) or 1.0,
        intercept=b_values.number(data.get("RescaleIntercept")) or 0.0,
        is_mosaic="MOSAIC" in texts("ImageType") or _has_mosaic_number(data),
        is_colour=text("PhotometricInterpretation") not in {"", "MONOCHROME1", "MONOCHROME2"},
    )


def _has_mosaic_number(data: Any) -> bool:
    """Whether Siemens' element says that there are several images; Image Type may be changed."""
    if _SIEMENS not in data or str(data[_SIEMENS].value).strip() != "SIEMENS MR HEADER":
        return False
    return _MOSAIC in data and (b_values.number(data[_MOSAIC].value) or 0) > 1


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


def without_copies(headers: Sequence[SliceHeader]) -> list[SliceHeader]:
    """Each image once. A copy has the same SOP Instance UID, and the same header throughout.

    Some programs give one UID to different images, so the UID alone does not make a copy.
    """
    images: dict[SliceHeader, SliceHeader] = {}
    for header in headers:
        key = replace(header, path=Path()) if header.sop_uid else header
        images.setdefault(key, header)
    return list(images.values())
