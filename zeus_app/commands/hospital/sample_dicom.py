"""The sample studies as DICOM: each NIfTI phantom becomes series of classic MR images."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from zeus_app.types import Affine, FloatArray

MR_IMAGE_STORAGE = UID("1.2.840.10008.5.1.4.1.1.4")
_PLANE_AXES = "LPS"
"""Columns run to the left, rows to the back, slices to the head, as scanners write axial images."""


@dataclass(frozen=True)
class DicomSeries:
    """A written series.

    Attributes:
        uid: SeriesInstanceUID.
        description: Series Description.
        files: its images, from the lowest slice on.
    """

    uid: str
    description: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class DicomStudy:
    """A written study.

    Attributes:
        uid: StudyInstanceUID.
        name: name of the phantom.
        series: sequence -> its series.
    """

    uid: str
    name: str
    series: Mapping[str, DicomSeries]

    @property
    def files(self) -> tuple[Path, ...]:
        """The images of all series."""
        return tuple(file for series in self.series.values() for file in series.files)


def write_dicom_study(sequences: Mapping[str, Path], folder: Path, *, name: str) -> DicomStudy:
    """Write the sequences of a phantom as one study in one frame of reference.

    The same name gives the same UIDs.

    Args:
        sequences: sequence, for example "FLAIR" -> its NIfTI file of integers from 0 to 65535.
        folder: gets one folder per sequence.
        name: name of the phantom, which becomes its Patient ID.
    """
    study = _study_header(name)
    series = {
        sequence: _write_series(study, sequence, number, file, folder / sequence.lower())
        for number, (sequence, file) in enumerate(sequences.items(), 1)
    }
    return DicomStudy(str(study.StudyInstanceUID), name, series)


def sample_uid(*parts: object) -> UID:
    """A UID that the parts determine: 2.25 and a number of 128 bits (PS3.5 B.2)."""
    digest = hashlib.sha256("/".join(map(str, ("zeus-phantom", *parts))).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def _study_header(name: str) -> Dataset:
    """The modules Patient, General Study, Frame of Reference and General Equipment."""
    header = Dataset()
    header.PatientName, header.PatientID = f"Phantom^{name}", name
    header.PatientBirthDate = header.PatientSex = ""
    header.StudyInstanceUID = sample_uid(name)
    header.StudyDate, header.StudyTime = "20260101", "120000"
    header.StudyID = header.AccessionNumber = header.ReferringPhysicianName = ""
    header.StudyDescription = "Zeus phantom"
    header.FrameOfReferenceUID = sample_uid(name, "frame")
    header.PositionReferenceIndicator = ""
    header.Manufacturer = "Zeus phantoms"
    return header


def _write_series(
    study: Dataset, sequence: str, number: int, file: Path, folder: Path
) -> DicomSeries:
    image = _as_axial(nibabel.load(file))
    voxels = np.asarray(image.dataobj)
    series = _series_header(study, sequence, number, voxels)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for index in range(voxels.shape[2]):
        slice_ = _slice(series, voxels[:, :, index], image.affine, index)
        files.append(folder / f"{index + 1:03d}.dcm")
        slice_.save_as(files[-1], write_like_original=False)
    return DicomSeries(str(series.SeriesInstanceUID), sequence, tuple(files))


def _as_axial(image: nibabel.Nifti1Image) -> nibabel.Nifti1Image:
    """The image with its axes reordered and flipped, so that they run as `_PLANE_AXES`."""
    wanted = nibabel.orientations.axcodes2ornt(tuple(_PLANE_AXES))
    stored = nibabel.io_orientation(image.affine)
    return image.as_reoriented(nibabel.orientations.ornt_transform(stored, wanted))


def _series_header(study: Dataset, sequence: str, number: int, voxels: FloatArray) -> Dataset:
    """The study's header with the modules General Series and MR Image (PS3.3 C.8.3)."""
    header = Dataset()
    header.update(study)
    header.Modality, header.SOPClassUID = "MR", MR_IMAGE_STORAGE
    header.SeriesInstanceUID = sample_uid(study.PatientID, sequence)
    header.SeriesNumber, header.SeriesDescription = number, sequence
    header.BodyPartExamined, header.PatientPosition = "HEAD", "HFS"
    header.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    header.ScanningSequence, header.SequenceVariant = ["SE"], ["SK"]
    header.ScanOptions, header.MRAcquisitionType = "", "2D"
    header.RepetitionTime, header.EchoTime, header.EchoTrainLength = 9000, 100, 16
    if sequence == "FLAIR":
        header.ScanningSequence, header.InversionTime = ["SE", "IR"], 2500
    low, high = np.percentile(voxels, (1, 99.5))
    header.WindowCenter, header.WindowWidth = round((low + high) / 2), max(round(high - low), 1)
    return header


def _slice(series: Dataset, pixels: FloatArray, affine_ras: Affine, index: int) -> Dataset:
    """One image of a series.

    Args:
        series: the header that all images of the series share.
        pixels: (columns, rows) integers.
        affine_ras: of the whole volume.
        index: number of the slice from 0.
    """
    affine_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine_ras
    spacing = np.linalg.norm(affine_lps[:3, :3], axis=0)  # mm: columns, rows, slices
    axes = affine_lps[:3, :3] / spacing
    data = Dataset()
    data.update(series)
    data.SOPInstanceUID = sample_uid(series.PatientID, series.SeriesDescription, index)
    data.InstanceNumber = index + 1
    data.ImageOrientationPatient = _decimals([*axes[:, 0], *axes[:, 1]])
    data.ImagePositionPatient = _decimals(affine_lps[:3, 3] + index * affine_lps[:3, 2])
    data.PixelSpacing = _decimals([spacing[1], spacing[0]])  # between rows, between columns
    data.SliceThickness = data.SpacingBetweenSlices = _decimals([spacing[2]])[0]
    data.Columns, data.Rows = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.PixelData = pixels.T.astype("<u2").tobytes()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.is_little_endian, data.is_implicit_VR = True, False
    return data


def _decimals(values: FloatArray | list[float]) -> list[str]:
    """Numbers as DICOM's decimal strings, which have at most 16 characters."""
    return [f"{round(float(value), 6) + 0.0:.10g}" for value in values]
