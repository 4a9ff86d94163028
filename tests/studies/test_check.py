"""A sequence with an unusable header costs at most itself."""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from nibabel.cifti2 import Cifti2Image
from nibabel.cifti2.cifti2_axes import BrainModelAxis, ScalarAxis

from tests.studies.tiny_files import dicom_series, nifti, ramp
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.studies.candidates import source_of
from zeus_app.studies.check import check_headers
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target
from zeus_app.types import Grid, RejectedStudy, StudyCandidate, VolumeSource
from zeus_app.volumes.sources import NiftiSource

BRAIN = load_target("brain_tumour")
SHEARED = np.array([[1.0, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def candidate(folder: Path, **sources: VolumeSource) -> StudyCandidate:
    evidence = {name: f"the name of {name}" for name in sources}
    return StudyCandidate("p", folder, sources, evidence=evidence)


def good(folder: Path) -> VolumeSource:
    return source_of(nifti(folder / "FLAIR.nii.gz"))


def cut(folder: Path) -> Path:
    path = nifti(folder / "T1.nii.gz", np.random.default_rng(0).normal(size=(9, 9, 9)))
    path.write_bytes(path.read_bytes()[:2000])
    return path


def cifti(folder: Path) -> Path:
    axis = BrainModelAxis.from_mask(np.ones(5), affine=None, name="cortex_left")
    path = folder / "T1.dscalar.nii"
    nibabel.save(Cifti2Image(np.ones((1, 5), np.float32), (ScalarAxis(["a"]), axis)), path)
    return path


def field(folder: Path) -> Path:
    voxels = sitk.GetImageFromArray(np.zeros((3, 4, 5, 3), np.float32), isVector=True)
    sitk.WriteImage(voxels, folder / "T1.nii.gz")
    return folder / "T1.nii.gz"


def no_utf8(folder: Path) -> Path:
    return nifti(folder / "T1.nii.gz").rename(folder / os.fsdecode(b"T1_gr\xf6\xdfe.nii.gz"))


def gone(folder: Path) -> Path:
    return folder / "T1.nii.gz"


@pytest.mark.parametrize("make", [cut, cifti, field, no_utf8, gone])
def test_a_study_goes_on_without_a_file_that_cannot_be_used(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    study = candidate(tmp_path, FLAIR=good(tmp_path), T1=NiftiSource(make(tmp_path)))
    checked = check_headers(study, BRAIN)
    assert isinstance(checked, StudyCandidate)
    assert list(checked.sources) == list(checked.evidence) == ["FLAIR"]
    (unused,) = checked.unused
    assert unused.files == study.sources["T1"].files
    assert unused.reason.startswith("T1: ")


@pytest.mark.parametrize("make", [cut, cifti, field, no_utf8, gone])
def test_of_a_study_of_one_file_the_reason_is_told(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    checked = check_headers(candidate(tmp_path, T1=NiftiSource(make(tmp_path))), BRAIN)
    assert isinstance(checked, RejectedStudy)
    assert checked.reason.startswith("T1: ")


def test_a_dicom_series_that_is_no_volume_costs_itself(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path / "t1", "t1", positions=[(0, 0, 0), (0, 9, 3), (0, 0, 6)])
    series = DicomSeriesSource(tuple(sorted(folder.iterdir())))
    checked = check_headers(candidate(tmp_path, FLAIR=good(tmp_path), T1=series), BRAIN)
    assert isinstance(checked, StudyCandidate)
    assert "shifted sideways" in checked.unused[0].reason
    assert len(checked.unused[0].files) == 3


def test_a_sheared_reference_is_left_out_and_another_sequence_may_be_sheared(
    tmp_path: Path,
) -> None:
    sheared = source_of(nifti(tmp_path / "sheared.nii.gz", affine=SHEARED))
    as_reference = check_headers(candidate(tmp_path, FLAIR=sheared, T1=good(tmp_path)), BRAIN)
    assert isinstance(as_reference, StudyCandidate)
    assert list(as_reference.sources) == ["T1"]
    assert "not at right angles" in as_reference.unused[0].reason
    other = check_headers(candidate(tmp_path, FLAIR=good(tmp_path), T1=sheared), BRAIN)
    assert isinstance(other, StudyCandidate)
    assert list(other.sources) == ["FLAIR", "T1"]


def test_an_exception_of_any_type_costs_its_own_file_and_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    grid = NiftiSource.grid

    def fails(source: NiftiSource) -> Grid:
        if source.path.name.startswith("T1"):
            raise AttributeError("affine")
        return grid(source)

    monkeypatch.setattr(NiftiSource, "grid", fails)
    study = candidate(tmp_path, FLAIR=good(tmp_path), T1=source_of(nifti(tmp_path / "T1.nii")))
    with caplog.at_level(logging.ERROR):
        checked = check_headers(study, BRAIN)
    assert isinstance(checked, StudyCandidate)
    assert "AttributeError" in checked.unused[0].reason
    assert "Traceback" in caplog.text


def test_sequences_of_two_body_regions_reject_the_study(tmp_path: Path) -> None:
    away = np.eye(4)
    away[2, 3] = 500
    far = source_of(nifti(tmp_path / "far.nii.gz", affine=away))
    checked = check_headers(candidate(tmp_path, FLAIR=good(tmp_path), T1=far), BRAIN)
    assert isinstance(checked, RejectedStudy)
    assert "share 0.0%" in checked.reason


def test_a_file_of_every_kind_that_misleads_readers_stops_no_search(tmp_path: Path) -> None:
    nifti(tmp_path / "good" / "FLAIR.nii.gz")
    arrays = {
        "complex": ramp(4, 4, 3).astype(np.complex64),
        "rgb": np.zeros((4, 4, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]),
        "series": ramp(4, 4, 3, 5), "flat_series": ramp(4, 4, 1, 5), "six": ramp(2, 2, 2, 1, 1, 3),
    }  # fmt: skip
    for name, array in arrays.items():
        nifti(tmp_path / name / "T1.nii.gz", array)
    for make in (cut, cifti, field, no_utf8):
        (tmp_path / make.__name__).mkdir()
        make(tmp_path / make.__name__)
    for name in ("T1.nii", "T1.nii.gz", "T1.mgz", "T1.mha", "T1.nrrd", "T1.nhdr", "T1.dcm"):
        for number, content in enumerate((b"", b"\x1f\x8b", b"x" * 600, bytes(600))):
            folder = tmp_path / f"{name.replace('.', '_')}_{number}"
            folder.mkdir()
            (folder / name).write_bytes(content)
    shutil.copy(tmp_path / "good" / "FLAIR.nii.gz", tmp_path / "T1_mgz_0" / "FLAIR.nii.gz")
    assert set(find_studies(tmp_path, BRAIN).studies) == {"good", "T1_mgz_0"}


def test_of_three_sequences_the_one_in_another_body_region_is_left_out(tmp_path: Path) -> None:
    away = np.eye(4)
    away[2, 3] = 500  # mm
    far = source_of(nifti(tmp_path / "FLAIR.nii.gz", affine=away))
    near = {n: source_of(nifti(tmp_path / f"{n}.nii.gz")) for n in ("T1", "T2")}
    checked = check_headers(candidate(tmp_path, FLAIR=far, **near), BRAIN)
    assert isinstance(checked, StudyCandidate)
    assert set(checked.sources) == {"T1", "T2"}
    (unused,) = checked.unused
    assert unused.files == far.files
    assert "share 0.0% of the smaller" in unused.reason


def test_two_sequences_of_two_body_regions_reject_the_study(tmp_path: Path) -> None:
    away = np.eye(4)
    away[2, 3] = 500  # mm
    far = source_of(nifti(tmp_path / "T1.nii.gz", affine=away))
    checked = check_headers(candidate(tmp_path, FLAIR=good(tmp_path), T1=far), BRAIN)
    assert isinstance(checked, RejectedStudy)
    assert "T1 " in checked.reason
    assert "the reference FLAIR" in checked.reason
