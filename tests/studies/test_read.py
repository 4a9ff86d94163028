"""A study is read without the sequences whose voxels cannot be used; nothing replaces them."""

import logging
from pathlib import Path

import numpy as np
import pytest

from tests.studies.tiny_files import dicom_series, nifti, ramp
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError
from zeus_app.studies.opened import open_study
from zeus_app.studies.read import (
    read_one_file,
    read_sequences,
    read_study,
    sequence_from_name,
    without,
)
from zeus_app.targets import load_target
from zeus_app.types import FloatArray, StudyFiles, UnusedImage
from zeus_app.volumes.sources import NiftiSource

BRAIN = load_target("brain_tumour")


def with_nan() -> FloatArray:
    array = ramp(4, 4, 3).astype(np.float32)
    array[0] = np.nan
    return array


def files(folder: Path, *, flair: FloatArray, t1: FloatArray) -> StudyFiles:
    arrays = {"FLAIR": flair, "T1": t1}
    sources = {n: NiftiSource(nifti(folder / f"{n}.nii.gz", a)) for n, a in arrays.items()}
    return StudyFiles("p", sources, "p", evidence=dict.fromkeys(sources, "its name"))


def test_the_other_sequences_are_read_and_the_reason_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = files(tmp_path, flair=ramp(4, 4, 3).astype(np.float32), t1=with_nan())
    with caplog.at_level(logging.WARNING):
        study = read_study(found)
    assert list(study.volumes) == ["FLAIR"]
    np.testing.assert_array_equal(study.volumes["FLAIR"].array, ramp(4, 4, 3))
    assert study.left_out["T1"].startswith("T1.nii.gz: 12 of 48 voxels are NaN or infinite")
    assert "T1 of study p" in caplog.text


def test_the_reason_reaches_the_opened_study(tmp_path: Path) -> None:
    found = files(tmp_path, flair=with_nan(), t1=ramp(4, 4, 3).astype(np.float32))
    study = open_study(read_study(found), BRAIN)
    assert (study.reference, study.used) == ("T1", ("T1",))
    assert list(study.left_out) == ["FLAIR"]


def test_a_study_without_a_usable_sequence_is_refused_with_every_reason(tmp_path: Path) -> None:
    found = files(tmp_path, flair=with_nan(), t1=np.full((4, 4, 3), 5, np.float32))
    with pytest.raises(InputError, match=r"NaN or infinite.*value 5"):
        read_study(found)
    study, errors = read_sequences(found)
    assert (study.volumes, set(errors)) == ({}, {"FLAIR", "T1"})


def test_a_dicom_series_is_named_without_the_folders_above_it(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path / "p" / "series", "t1")
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:-30])
    source = DicomSeriesSource(tuple(sorted(folder.iterdir())))
    found = files(tmp_path, flair=ramp(4, 4, 3).astype(np.float32), t1=with_nan())
    study = read_study(StudyFiles("p", {**found.sources, "T1": source}, "p"))
    assert study.left_out["T1"].startswith("000.dcm cannot be read")
    assert str(tmp_path) not in study.left_out["T1"]


def test_a_sequence_that_is_left_out_is_an_unused_image(tmp_path: Path) -> None:
    found = files(tmp_path, flair=with_nan(), t1=with_nan())
    rest = without(found, {"T1": "NaN", "T2": "not there"})
    assert list(rest.sources) == list(rest.evidence) == ["FLAIR"]
    assert rest.unused == (UnusedImage((tmp_path / "T1.nii.gz",), "T1: NaN"),)


@pytest.mark.parametrize(
    ("name", "said"), [("T1_anna_T2", "T2 or T1"), ("AX_T2star", "T2star"), ("ADC_map", "ADC")]
)
def test_an_upload_whose_name_tells_another_sequence_is_refused(name: str, said: str) -> None:
    with pytest.raises(InputError, match=f"whose name says {said}"):
        sequence_from_name(name, BRAIN)


def test_an_upload_whose_name_tells_nothing_is_taken(tmp_path: Path) -> None:
    assert sequence_from_name("MRHead", BRAIN) is None
    path = nifti(tmp_path / "MRHead.nii.gz")
    assert list(read_one_file(path, BRAIN, "x").sources) == ["FLAIR"]
