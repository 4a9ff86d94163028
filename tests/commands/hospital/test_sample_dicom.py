import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from zeus_app.commands.hospital.sample_dicom import DicomStudy, write_dicom_study
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target

SHAPE = (7, 6, 5)


def write_nifti(path: Path, codes: str, seed: int) -> Path:
    """Random integers on an oblique grid of uneven spacing, stored in the given orientation."""
    turn = np.deg2rad(10)
    rotation = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([1.5, 1.2, 5.0])
    affine[:3, 3] = [-11.5, 7.25, -3.0]
    voxels = np.random.default_rng(seed).integers(0, 900, SHAPE).astype(np.int16)
    image = nibabel.Nifti1Image(voxels, affine)
    wanted = nibabel.orientations.axcodes2ornt(tuple(codes))
    stored = nibabel.io_orientation(affine)
    turned = image.as_reoriented(nibabel.orientations.ornt_transform(stored, wanted))
    nibabel.save(turned, path)
    return path


@pytest.fixture(params=["RAS", "LPS", "ASR"])
def nifti_files(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Path]:
    return {
        "T2": write_nifti(tmp_path / "t2.nii.gz", request.param, 1),
        "FLAIR": write_nifti(tmp_path / "flair.nii.gz", request.param, 2),
    }


@pytest.fixture
def study(nifti_files: dict[str, Path], tmp_path: Path) -> DicomStudy:
    return write_dicom_study(nifti_files, tmp_path / "dicom", name="phantom_07")


@pytest.mark.parametrize("sequence", ["T2", "FLAIR"])
def test_simpleitk_reads_the_same_voxels_at_the_same_places(
    nifti_files: dict[str, Path], study: DicomStudy, sequence: str
) -> None:
    dicom = sitk.ReadImage([str(file) for file in study.series[sequence].files])
    nifti = sitk.ReadImage(str(nifti_files[sequence]))
    resampled = sitk.Resample(dicom, nifti, sitk.Transform(), sitk.sitkNearestNeighbor, -1)
    assert np.array_equal(sitk.GetArrayFromImage(resampled), sitk.GetArrayFromImage(nifti))


def test_the_files_of_a_series_go_from_the_feet_to_the_head(study: DicomStudy) -> None:
    heights = [
        float(pydicom.dcmread(file).ImagePositionPatient[2]) for file in study.series["T2"].files
    ]
    assert heights == [-3.0, 2.0, 7.0, 12.0, 17.0]


def test_all_series_share_a_frame_of_reference_and_a_study(study: DicomStudy) -> None:
    headers = [pydicom.dcmread(file) for file in study.files]
    assert len({header.FrameOfReferenceUID for header in headers}) == 1
    assert {header.StudyInstanceUID for header in headers} == {study.uid}


def test_each_image_has_a_uid_of_its_own(study: DicomStudy) -> None:
    uids = {pydicom.dcmread(file).SOPInstanceUID for file in study.files}
    assert len(uids) == len(study.files) == 10


def test_a_uid_has_at_most_39_digits_after_2_25(study: DicomStudy) -> None:
    numbers = [int(uid.removeprefix("2.25.")) for uid in (study.uid, study.series["T2"].uid)]
    assert all(number < 2**128 for number in numbers)


def test_the_same_phantom_gives_the_same_files(
    nifti_files: dict[str, Path], study: DicomStudy, tmp_path: Path
) -> None:
    again = write_dicom_study(nifti_files, tmp_path / "again", name="phantom_07")
    assert [file.read_bytes() for file in again.files] == [
        file.read_bytes() for file in study.files
    ]


def test_dciodvfy_finds_no_error(study: DicomStudy) -> None:
    program = Path(sys.executable).with_name("dciodvfy")
    for file in (study.files[0], study.files[-1]):
        said = subprocess.run([program, file], capture_output=True, text=True, check=False).stderr
        assert [line for line in said.splitlines() if "Error" in line] == []


def test_zeus_recognises_the_sequences(study: DicomStudy) -> None:
    folder = study.files[0].parents[2]
    studies = find_studies(folder / "dicom", load_target("phantom")).studies
    assert [set(found.sources) for found in studies.values()] == [{"T2", "FLAIR"}]
