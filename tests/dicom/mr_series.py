"""MR series for tests of DICOM SEG: any orientation, and pixels that tell their label."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.targets import Target
from zeus_app.types import Affine, Volume

PIXELS_OF_LABEL = 100
"""The pixels of label n are 100 n; see `marks`."""
OBLIQUE = (0.8, 0.36, -0.48, -0.6, 0.48, -0.64)
ORIENTATIONS = {
    "axial": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "sagittal": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    "coronal": (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
    "oblique": OBLIQUE,
}
FOUR_LABELS = Target.model_validate(
    {
        "name": "marks",
        "instance": "four marks",
        "labels": [{"name": f"mark {value}", "value": value} for value in (1, 2, 3, 7)],
        "sequences": [{"name": "T2", "prompt_name": "MRI-T2", "aliases": ["t2"]}],
    }
)


@dataclass(frozen=True)
class Plan:
    """Geometry of a series; columns, rows and slices all differ, and so do the spacings.

    Attributes:
        shape: columns, rows, slices.
        spacing_mm: between rows, between columns.
        step_mm: from a slice to the next, along the normal; negative: against it.
        origin_lps: first pixel of the first slice.
    """

    orientation: tuple[float, ...] = ORIENTATIONS["axial"]
    shape: tuple[int, int, int] = (14, 11, 9)
    spacing_mm: tuple[float, float] = (1.25, 0.75)
    step_mm: float = 3.0
    origin_lps: tuple[float, float, float] = (-20.0, 31.5, 12.25)
    thickness_mm: float = 2.5
    study_uid: str = "1.2.826.0.1.3680043.8.498.1"
    frame_of_reference: str = "1.2.826.0.1.3680043.8.498.2"
    series_number: int = 4
    description: str = "t2_tra"

    @property
    def normal(self) -> npt.NDArray[np.float64]:
        return np.cross(self.orientation[:3], self.orientation[3:])

    def position(self, number: int) -> npt.NDArray[np.float64]:
        return np.asarray(self.origin_lps + number * self.step_mm * self.normal)

    @property
    def affine_lps(self) -> Affine:
        affine = np.eye(4)
        affine[:3, 0] = np.array(self.orientation[:3]) * self.spacing_mm[1]
        affine[:3, 1] = np.array(self.orientation[3:]) * self.spacing_mm[0]
        affine[:3, 2] = self.step_mm * self.normal
        affine[:3, 3] = self.origin_lps
        return affine


AXIAL = Plan()
REVERSED = replace(AXIAL, step_mm=-3.0)


def marks(
    shape: tuple[int, int, int], values: Sequence[int] = (1, 2, 3, 7)
) -> npt.NDArray[np.int_]:
    """Labels without any symmetry, on some slices: (columns, rows, slices)."""
    labels = np.zeros(shape, int)
    labels[1:6, 2:4, 1:4] = values[0]
    labels[1:2, 4:9, 1] = values[0]
    for number, value in enumerate(values[1:], start=1):
        labels[7 + number : 9 + 2 * number, 1 + number : 4 + number, number + 1 : 6] = value
    labels[-1, 0, -1] = values[-1]
    return labels


def label_map_of(source: DicomSeriesSource) -> Volume:
    """The labels that a series' pixels tell, on the series' own grid."""
    volume = source.load()
    return Volume((volume.array / PIXELS_OF_LABEL).astype(np.uint8), volume.affine_ras)


def mr_source(
    folder: Path, plan: Plan = AXIAL, labels: npt.NDArray[np.int_] | None = None
) -> DicomSeriesSource:
    """A new series."""
    return DicomSeriesSource(tuple(write_mr_series(folder, plan, labels)))


def write_mr_series(
    folder: Path, plan: Plan = AXIAL, labels: npt.NDArray[np.int_] | None = None
) -> list[Path]:
    """Write one file per slice, in the order of `plan`."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = marks(plan.shape) if labels is None else labels
    series_uid = generate_uid()
    paths = []
    for number in range(plan.shape[2]):
        path = folder / f"{plan.shape[2] - number:03d}.dcm"  # names against the order of slices
        image = mr_image(path, plan, number, series_uid)
        image.PixelData = (PIXELS_OF_LABEL * labels[:, :, number].T).astype(np.uint16).tobytes()
        pydicom.dcmwrite(path, image, write_like_original=False)
        paths.append(path)
    return paths


def mr_image(path: Path, plan: Plan, number: int, series_uid: str) -> FileDataset:
    """The header of slice `number`, as MR Image Storage wants it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.is_little_endian, data.is_implicit_VR = True, False
    data.SpecificCharacterSet, data.PatientPosition = "ISO_IR 100", "HFS"
    data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = plan.study_uid, series_uid
    data.FrameOfReferenceUID, data.PositionReferenceIndicator = plan.frame_of_reference, ""
    data.PatientName, data.PatientID = "Müller^Anna", "anna"
    data.PatientBirthDate, data.PatientSex = "19500102", "F"
    data.StudyDate, data.StudyTime, data.StudyID = "20260102", "101500", "7"
    data.AccessionNumber, data.ReferringPhysicianName = "A7", ""
    data.StudyDescription, data.SeriesDescription = "Kopf", plan.description
    data.Modality, data.Manufacturer, data.SeriesNumber = "MR", "Maker", plan.series_number
    data.InstanceNumber, data.Laterality = number + 1, ""
    data.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    data.ScanningSequence, data.SequenceVariant = "SE", "NONE"
    data.ScanOptions, data.MRAcquisitionType = "", "2D"
    data.EchoTime, data.EchoTrainLength, data.RepetitionTime = 90, 1, 4000
    data.ImageOrientationPatient = list(plan.orientation)
    data.ImagePositionPatient = [round(float(value), 6) for value in plan.position(number)]
    data.PixelSpacing, data.SliceThickness = list(plan.spacing_mm), plan.thickness_mm
    data.Rows, data.Columns, data.SamplesPerPixel = plan.shape[1], plan.shape[0], 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    return data
