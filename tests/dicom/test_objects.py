"""Objects that are no MR images are listed, and never break a study."""

from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.studies.tiny_files import dicom_series, reasons, sequences
from zeus_app.dicom.objects import is_mr_image
from zeus_app.dicom.series import read_header
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target

PROSTATE = load_target("prostate")
STORAGE = "1.2.840.10008.5.1.4.1.1"
SECONDARY_CAPTURE = f"{STORAGE}.7"


def bare_object(path: Path, sop_class: str, modality: str, **elements: Any) -> Path:
    """An object of the study 1.2.3 that has neither pixels nor a place."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3", generate_uid()
    data.PatientID, data.Modality = "anna", modality
    for name, value in elements.items():
        setattr(data, name, value)
    data.is_little_endian, data.is_implicit_VR = True, False
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, data, write_like_original=False)
    return path


@pytest.mark.parametrize(
    ("sop_class", "modality", "said"),
    [
        (f"{STORAGE}.66.4", "SEG", "modality SEG (Segmentation)"),
        (f"{STORAGE}.88.33", "SR", "modality SR (Comprehensive SR)"),
        (f"{STORAGE}.88.59", "KO", "modality KO (Key Object Selection Document)"),
        (f"{STORAGE}.11.1", "PR", "modality PR (Grayscale Softcopy Presentation State)"),
        (f"{STORAGE}.481.3", "RTSTRUCT", "modality RTSTRUCT (RT Structure Set)"),
        (f"{STORAGE}.104.1", "DOC", "modality DOC (Encapsulated PDF)"),
        (f"{STORAGE}.104.1", "MR", "modality MR (Encapsulated PDF)"),
        (f"{STORAGE}.4.2", "MR", "modality MR (MR Spectroscopy)"),
        (f"{STORAGE}.66", "MR", "modality MR (Raw Data)"),
        (SECONDARY_CAPTURE, "", "no modality (Secondary Capture Image)"),
        ("1.2.3.4", "", "no modality (1.2.3.4)"),
    ],
)
def test_an_object_in_the_folder_of_a_series_is_listed_and_costs_nothing(
    tmp_path: Path, sop_class: str, modality: str, said: str
) -> None:
    folder = dicom_series(tmp_path / "p", "t2_tra")
    bare_object(folder / "object", sop_class, modality)
    catalog = find_studies(tmp_path, PROSTATE)
    assert sequences(catalog) == {"p": {"T2"}}
    assert catalog.problems == ()
    (unused,) = catalog.studies["p"].unused
    assert unused.reason == f"1 file of {said}, no MR images"
    assert unused.files == (folder / "object",)


def test_a_secondary_capture_with_a_place_is_no_sequence(tmp_path: Path) -> None:
    dicom_series(tmp_path / "p" / "1", "t2_tra")
    dicom_series(tmp_path / "p" / "2", "t2_tra better", SOPClassUID=SECONDARY_CAPTURE)
    study = find_studies(tmp_path, PROSTATE).studies["p"]
    assert study.sources["T2"].files[0].parent.name == "1"
    assert len(study.series) == 1
    assert [(len(image.files), image.reason) for image in study.unused] == [
        (3, "3 files of modality MR (Secondary Capture Image), no MR images")
    ]


def test_a_localizer_is_listed_with_the_reason(tmp_path: Path) -> None:
    dicom_series(tmp_path / "p" / "1", "t2_tra")
    dicom_series(tmp_path / "p" / "2", "t2_loc", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    study = find_studies(tmp_path, PROSTATE).studies["p"]
    assert [image.reason for image in study.unused] == [
        "'4 t2_loc' (3 images, axial) is a localizer (Image Type LOCALIZER)"
    ]


@pytest.mark.parametrize("name", ["rtstruct", "rtplan", "rtdose", "test-SR", "waveform_ecg"])
def test_objects_of_other_programs_cost_no_study(tmp_path: Path, name: str) -> None:
    folder = dicom_series(tmp_path / "p", "t2_tra")
    data = pydicom.dcmread(get_testdata_file(f"{name}.dcm"), force=True)
    data.StudyInstanceUID, data.PatientID = "1.2.3", "anna"
    data.save_as(folder / "object.dcm", write_like_original=False)
    catalog = find_studies(tmp_path, PROSTATE)
    assert sequences(catalog) == {"p": {"T2"}}
    assert "no MR images" in catalog.studies["p"].unused[0].reason


def test_a_study_of_other_objects_alone_tells_what_they_are(tmp_path: Path) -> None:
    bare_object(tmp_path / "p" / "a", f"{STORAGE}.88.33", "SR")
    reason = reasons(find_studies(tmp_path, PROSTATE))["p"]
    assert "there is no MR series. 1 file of modality SR (Comprehensive SR)" in reason


def test_an_old_image_without_a_class_is_told_by_its_modality(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path, "t2_tra", SOPClassUID="")
    assert is_mr_image(read_header(folder / "000.dcm"))
    folder = dicom_series(tmp_path, "t2_tra", SOPClassUID="", Modality="CT")
    assert not is_mr_image(read_header(folder / "000.dcm"))
