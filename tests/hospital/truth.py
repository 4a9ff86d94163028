"""The true masks of the phantoms, on the slices of their DICOM series."""

from collections.abc import Mapping

import pydicom
import SimpleITK as sitk

from zeus_app.commands.hospital.run import HospitalPaths
from zeus_app.commands.hospital.sample_dicom import DicomSeries, DicomStudy
from zeus_app.types import LabelArray


def true_label_image(study: DicomStudy, series: DicomSeries) -> sitk.Image:
    """Values of the target phantom on the grid that SimpleITK reads of a series, in LPS mm."""
    image = sitk.ReadImage([str(file) for file in series.files])
    truth = sitk.ReadImage(str(HospitalPaths().phantoms / "labels" / f"{study.name}.nii.gz"))
    nearest = sitk.sitkNearestNeighbor
    return sitk.Resample(truth, image, sitk.Transform(), nearest, 0, sitk.sitkUInt8)


def true_slices(study: DicomStudy, series: DicomSeries) -> Mapping[str, LabelArray]:
    """SOP Instance UID -> (rows, columns) values of the target phantom."""
    truth: LabelArray = sitk.GetArrayFromImage(true_label_image(study, series))
    return {
        str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID): slice_
        for file, slice_ in zip(series.files, truth, strict=True)
    }
