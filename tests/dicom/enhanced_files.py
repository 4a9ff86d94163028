"""Small enhanced multi-frame MR files, as current scanners write them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

from tests.studies.tiny_files import AXIAL
from zeus_app.dicom.enhanced import ENHANCED_MR


@dataclass(frozen=True)
class Frame:
    """What the functional groups of one frame say."""

    position: Sequence[float]
    orientation: Sequence[float] = AXIAL
    stack: str = "1"
    b_value: float | None = None
    echo_ms: float | None = None
    scale: tuple[float, float] = (1.0, 0.0)
    frame_type: Sequence[str] = ("ORIGINAL", "PRIMARY", "M", "NONE")
    component: str = "MAGNITUDE"
    time_point: int = 1
    directionality: str = ""


def enhanced_mr(
    path: Path,
    frames: Sequence[Frame],
    description: str = "t2_tse_tra",
    *,
    is_shared: bool = False,
    is_rle: bool = False,
    **elements: object,
) -> Path:
    """One file of 4 rows by 5 columns, 2 mm between rows, 1.5 mm between columns.

    Pixel (row, column) of frame n is 100 n + 10 row + column, as in `dicom_series`. Orientation,
    spacing and scale lie in the groups of each frame, or in the shared group.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ENHANCED_MR, generate_uid()
    meta.TransferSyntaxUID = RLELossless if is_rle else ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = ENHANCED_MR, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3", generate_uid()
    data.FrameOfReferenceUID = "1.2.3.4"
    data.PatientID, data.StudyDate, data.Modality = "anna", "20260102", "MR"
    data.SeriesDescription, data.SeriesNumber = description, 4
    data.ImageType = ["ORIGINAL", "PRIMARY", "MIXED", "MIXED"]
    data.Rows, data.Columns, data.SamplesPerPixel = 4, 5, 1
    data.PhotometricInterpretation, data.NumberOfFrames = "MONOCHROME2", len(frames)
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    common = [(_everywhere(frame) if is_shared else []) for frame in frames]
    data.SharedFunctionalGroupsSequence = Items([_group(common[0])])
    data.PerFrameFunctionalGroupsSequence = Items(
        [_group(_of_frame(frame) + ([] if is_shared else _everywhere(frame))) for frame in frames]
    )
    for element, value in elements.items():
        setattr(data, element, value)
    _add_pixels(data, len(frames), is_rle=is_rle)
    data.is_little_endian, data.is_implicit_VR = True, False
    pydicom.dcmwrite(path, data, write_like_original=False)
    return path


def _add_pixels(data: FileDataset, count: int, *, is_rle: bool) -> None:
    rows, columns = np.meshgrid(np.arange(4), np.arange(5), indexing="ij")
    images = [(100 * n + 10 * rows + columns).astype(np.uint16) for n in range(count)]
    data.PixelData = b"".join(image.tobytes() for image in images)
    if is_rle:
        packed = [pydicom.pixel_data_handlers.rle_handler.rle_encode_frame(i) for i in images]
        data.PixelData = encapsulate(packed)
        data["PixelData"].is_undefined_length = True


def _everywhere(frame: Frame) -> list[tuple[str, dict[str, Any]]]:
    slope, intercept = frame.scale
    return [
        ("PixelMeasuresSequence", {"PixelSpacing": [2.0, 1.5], "SliceThickness": 3.0}),
        ("PlaneOrientationSequence", {"ImageOrientationPatient": list(frame.orientation)}),
        (
            "PixelValueTransformationSequence",
            {"RescaleSlope": slope, "RescaleIntercept": intercept, "RescaleType": "US"},
        ),
    ]


def _of_frame(frame: Frame) -> list[tuple[str, dict[str, Any]]]:
    groups: list[tuple[str, dict[str, Any]]] = [
        (
            "FrameContentSequence",
            {"StackID": frame.stack, "TemporalPositionIndex": frame.time_point},
        ),
        ("PlanePositionSequence", {"ImagePositionPatient": list(frame.position)}),
        (
            "MRImageFrameTypeSequence",
            {"FrameType": list(frame.frame_type), "ComplexImageComponent": frame.component},
        ),
    ]
    if frame.b_value is not None:
        diffusion: dict[str, Any] = {"DiffusionBValue": frame.b_value}
        if frame.directionality:
            diffusion["DiffusionDirectionality"] = frame.directionality
        groups.append(("MRDiffusionSequence", diffusion))
    if frame.echo_ms is not None:
        groups.append(("MREchoSequence", {"EffectiveEchoTime": frame.echo_ms}))
    return groups


def _group(macros: Sequence[tuple[str, dict[str, Any]]]) -> pydicom.Dataset:
    group = pydicom.Dataset()
    for name, elements in macros:
        item = pydicom.Dataset()
        for element, value in elements.items():
            setattr(item, element, value)
        setattr(group, name, Items([item]))
    return group
