"""Small files in the layouts that studies come in."""

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from zeus_app.studies.find import Catalog

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def ramp(*shape: int) -> npt.NDArray[np.int16]:
    """Voxels that all differ: 0, 1, 2, ..."""
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


def nifti(
    path: Path,
    array: npt.NDArray[np.generic] | None = None,
    affine: npt.NDArray[np.float64] | None = None,
) -> Path:
    """A NIfTI file of 1 mm voxels, 4×4×3 by default."""
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = ramp(4, 4, 3) if array is None else array
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)
    return path


def study(root: Path, *names: str) -> Path:
    """Empty-looking but valid NIfTI files of these names."""
    for name in names:
        nifti(root / f"{name}.nii.gz")
    return root


def dicom_series(
    folder: Path,
    description: str,
    *,
    study_uid: str = "1.2.3",
    orientation: Sequence[float] = AXIAL,
    positions: Sequence[Sequence[float]] = ((0, 0, 0), (0, 0, 3), (0, 0, 6)),
    b_values: Sequence[float] = (),
    image_type: Sequence[str] = ("ORIGINAL", "PRIMARY"),
    names: Sequence[str] = (),
    **elements: object,
) -> Path:
    """A DICOM series of 4 rows by 5 columns, 2 mm between rows, 1.5 mm between columns.

    Pixel (row, column) of image n is 100 n + 10 row + column; with several b-values every position
    is imaged once for each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series_uid = generate_uid()
    images = [(p, b) for b in b_values or (None,) for p in positions]
    for n, (position, b_value) in enumerate(images):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = MR_IMAGE
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        name = names[n] if names else f"{n:03d}.dcm"
        data = FileDataset(str(folder / name), {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = MR_IMAGE, meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID = study_uid, series_uid
        data.PatientID, data.StudyDate, data.Modality = "anna", "20260102", "MR"
        data.SeriesDescription, data.SeriesNumber = description, 4
        data.ImageType = list(image_type)
        data.ImageOrientationPatient = list(orientation)
        data.ImagePositionPatient = list(position)
        data.PixelSpacing, data.SliceThickness = [2.0, 1.5], 3.0
        data.Rows, data.Columns, data.SamplesPerPixel = 4, 5, 1
        data.PhotometricInterpretation = "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 0
        if b_value is not None:
            data.DiffusionBValue = float(b_value)
        for element, value in elements.items():
            setattr(data, element, value)
        rows, columns = np.meshgrid(np.arange(4), np.arange(5), indexing="ij")
        data.PixelData = (100 * n + 10 * rows + columns).astype(np.uint16).tobytes()
        data.is_little_endian, data.is_implicit_VR = True, False
        pydicom.dcmwrite(folder / name, data, write_like_original=False)
    return folder


def files_by_sequence(catalog: Catalog) -> dict[str, dict[str, str]]:
    """Study -> sequence -> name of its file, or of its folder if it has several."""
    return {
        name: {
            sequence: (s.files[0] if len(s.files) == 1 else s.files[0].parent).name
            for sequence, s in files.sources.items()
        }
        for name, files in catalog.studies.items()
    }


def sequences(catalog: Catalog) -> dict[str, set[str]]:
    """Study -> its sequences."""
    return {name: set(files.sources) for name, files in catalog.studies.items()}


def reasons(catalog: Catalog) -> dict[str, str]:
    """Problem's id -> reason."""
    return {problem.id: problem.reason for problem in catalog.problems}
