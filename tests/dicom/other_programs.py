"""Other people's programs for DICOM SEG: dciodvfy checks, dcmqi and SimpleITK read and write."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from pydicom.dataset import Dataset

from tests.dicom.mr_series import PIXELS_OF_LABEL

BIN = Path(sys.executable).parent


def errors_of(path: Path) -> set[str]:
    """The errors that dciodvfy finds in a DICOM file."""
    ran = subprocess.run([BIN / "dciodvfy", path], capture_output=True, text=True, timeout=60)
    lines = (ran.stdout + ran.stderr).splitlines()
    assert any(not line.startswith(("Error", "Warning")) for line in lines), (
        lines
    )  # it names the class
    return {line for line in lines if line.startswith("Error")}


def saved(data: Dataset, path: Path) -> Path:
    data.save_as(path, write_like_original=False)
    return path


def itk_series(folder: Path) -> sitk.Image:
    """A series as ITK reads it."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def itk_labels(folder: Path) -> npt.NDArray[np.int_]:
    """The labels that a series' pixels tell: (slices, rows, columns) in ITK's order."""
    return np.asarray(sitk.GetArrayFromImage(itk_series(folder)) // PIXELS_OF_LABEL, int)


def segments_by_dcmqi(seg: Path, folder: Path, image: sitk.Image) -> dict[int, Any]:
    """Segment number -> its mask as dcmqi reads it, (slices, rows, columns) on an image's grid."""
    folder.mkdir()
    subprocess.run(
        [BIN / "segimage2itkimage", "--inputDICOM", seg, "--outputDirectory", folder,
         "--outputType", "nrrd", "--prefix", "segment"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return {
        int(path.stem.split("-")[1]): sitk.GetArrayFromImage(
            sitk.Resample(sitk.ReadImage(path), image, sitk.Transform(), sitk.sitkNearestNeighbor)
        )
        > 0
        for path in folder.glob("segment-*.nrrd")
    }


def segmentation_by_dcmqi(
    labels: sitk.Image, names: dict[int, str], images: Path, out: Path, *, kind: str = "binary"
) -> Path:
    """A SEG that dcmqi writes of a label map."""
    meta, mask = out.with_suffix(".json"), out.with_suffix(".nrrd")
    meta.write_text(json.dumps(_metadata(names)))
    sitk.WriteImage(labels, mask)
    subprocess.run(
        [BIN / "itkimage2segimage", "--inputImageList", mask, "--inputDICOMDirectory", images,
         "--inputMetadata", meta, "--outputDICOM", out, "--segmentationType", kind],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return out


def _metadata(names: dict[int, str]) -> dict[str, Any]:
    tissue = {"CodeValue": "85756007", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Tissue"}
    return {
        "ContentCreatorName": "Reader^One", "ClinicalTrialSeriesID": "1",
        "ClinicalTrialTimePointID": "1", "SeriesDescription": "by hand", "SeriesNumber": "300",
        "InstanceNumber": "1", "BodyPartExamined": "",
        "segmentAttributes": [[
            {
                "labelID": value, "SegmentLabel": name, "SegmentDescription": name,
                "SegmentAlgorithmType": "MANUAL", "SegmentedPropertyTypeCodeSequence": tissue,
                "SegmentedPropertyCategoryCodeSequence": tissue,
            }
            for value, name in names.items()
        ]],
    }  # fmt: skip
