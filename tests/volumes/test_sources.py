import struct
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk

from tests.studies.tiny_files import nifti, ramp
from zeus_app.errors import InputError
from zeus_app.studies.read import read_one_file, read_study
from zeus_app.targets import load_target
from zeus_app.types import FloatArray
from zeus_app.volumes.sources import ItkSource, NiftiChannelSource, NiftiSource

BRAIN = load_target("brain_tumour")


def test_voxels_are_float32_and_scaled(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.array([[[1.5, 2.5], [3.5, 4.5]]]), np.eye(4))
    image.set_data_dtype(np.int16)  # stored with a slope
    nibabel.save(image, tmp_path / "x.nii.gz")
    array = NiftiSource(tmp_path / "x.nii.gz").load().array
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, [[[1.5, 2.5], [3.5, 4.5]]], atol=1e-3)


def test_a_trailing_axis_of_one_is_dropped(tmp_path: Path) -> None:
    path = nifti(tmp_path / "x.nii.gz", ramp(4, 5, 6, 1))
    assert NiftiSource(path).load().array.shape == (4, 5, 6)


def test_a_2_d_image_is_one_slice(tmp_path: Path) -> None:
    path = nifti(tmp_path / "x.nii.gz", ramp(4, 5))
    assert NiftiSource(path).load().grid.shape == (4, 5, 1)


def broken(value: float, count: int) -> FloatArray:
    array = ramp(4, 4, 3).astype(np.float32)
    array.flat[:count] = value
    return array


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (broken(np.nan, 2), "2 of 48 voxels are NaN or infinite"),
        (broken(np.inf, 3), "3 of 48 voxels are NaN or infinite"),
        (np.full((4, 4, 3), 7.0), "every voxel has the value 7"),
        (ramp(4, 4, 3, 2), "4-D, shape .4, 4, 3, 2.: 2 volumes in one file"),
        (ramp(4, 4, 3, 1, 1), "5-D"),
        (ramp(4, 4, 3).astype(np.complex64), "voxels of type complex64"),
        (np.zeros((4, 4, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]), "voxels of type"),
        (np.full((4, 4, 3), 1e300) * ramp(4, 4, 3), "47 of 48 voxels are NaN or infinite"),
    ],
)
def test_what_cannot_be_segmented_is_refused(
    tmp_path: Path, array: npt.NDArray[np.generic], message: str
) -> None:
    path = nifti(tmp_path / "x.nii.gz", array)
    with pytest.raises(InputError, match=message) as caught:
        NiftiSource(path).load()
    assert "x.nii.gz" in caught.value.came


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(20, 20, 20))
    path = nifti(tmp_path / "x.nii.gz", noise)
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(InputError, match="cannot be read"):
        NiftiSource(path).load()


def test_an_affine_that_places_no_voxels_is_refused(tmp_path: Path) -> None:
    path = nifti(tmp_path / "x.nii", ramp(4, 4, 3))
    content = bytearray(path.read_bytes())
    content[280 + 32 : 280 + 48] = struct.pack("<4f", 0, 0, 0, 0)  # srow_z of the NIfTI-1 header
    path.write_bytes(content)
    with pytest.raises(InputError, match="not invertible"):
        NiftiSource(path).load()


def test_sform_wins_over_qform_and_qform_over_nothing(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(ramp(4, 4, 3), None)
    image.set_qform(np.diag([2.0, 2, 2, 1]), code=1)
    image.set_sform(None, code=0)
    nibabel.save(image, tmp_path / "q.nii.gz")
    image.set_sform(np.diag([3.0, 3, 3, 1]), code=1)
    nibabel.save(image, tmp_path / "s.nii.gz")
    assert NiftiSource(tmp_path / "q.nii.gz").load().grid.spacing_mm == (2, 2, 2)
    assert NiftiSource(tmp_path / "s.nii.gz").load().grid.spacing_mm == (3, 3, 3)


def test_a_missing_channel_is_refused(tmp_path: Path) -> None:
    path = nifti(tmp_path / "x.nii.gz", ramp(4, 4, 3, 2))
    with pytest.raises(InputError, match="no channel 2"):
        NiftiChannelSource(path, 2).load()


@pytest.mark.parametrize("suffix", [".mha", ".nrrd", ".mhd"])
def test_itk_files_lie_where_itk_writes_them_as_nifti(tmp_path: Path, suffix: str) -> None:
    image = sitk.GetImageFromArray(ramp(3, 4, 5))  # (Z, Y, X)
    image.SetSpacing((0.5, 0.75, 3.0))
    image.SetOrigin((10.0, -20.0, 30.0))
    image.SetDirection((0.0, 1, 0, -0.6, 0, 0.8, 0.8, 0, 0.6))
    sitk.WriteImage(image, tmp_path / f"x{suffix}")
    sitk.WriteImage(image, tmp_path / "same.nii.gz")
    volume, same = ItkSource(tmp_path / f"x{suffix}").load(), nibabel.load(tmp_path / "same.nii.gz")
    assert volume.array.dtype == np.float32
    assert np.array_equal(volume.array, same.get_fdata())
    np.testing.assert_allclose(volume.affine_ras, same.affine, atol=1e-5)


def test_a_2_d_itk_file_is_one_slice(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(ramp(4, 5)), tmp_path / "x.mha")
    assert ItkSource(tmp_path / "x.mha").load().array.shape == (5, 4, 1)


def test_a_colour_itk_file_is_refused(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(ramp(4, 5, 3, 3), isVector=True), tmp_path / "x.mha")
    with pytest.raises(InputError, match="3 values per voxel"):
        ItkSource(tmp_path / "x.mha").load()


def test_one_file_is_a_study_of_the_sequence_its_name_tells(tmp_path: Path) -> None:
    path = nifti(tmp_path / "patient_T1ce.nii.gz")
    study = read_study(read_one_file(path, BRAIN, "upload"))
    assert study.id == "upload"
    assert list(study.volumes) == ["T1Gd"]


def test_a_nameless_file_is_taken_for_the_preferred_reference(tmp_path: Path) -> None:
    path = nifti(tmp_path / "tmpab12.nii.gz")
    assert list(read_one_file(path, BRAIN, "u").sources) == ["FLAIR"]


def test_a_folder_of_files_is_one_study(tmp_path: Path) -> None:
    nifti(tmp_path / "x_T1.nii.gz")
    nifti(tmp_path / "x_T2.nii.gz")
    files = read_one_file(tmp_path, BRAIN, "session")
    assert files.id == "session"
    assert list(files.sources) == ["T1", "T2"]


def test_an_uploaded_folder_of_two_studies_is_refused(tmp_path: Path) -> None:
    nifti(tmp_path / "x_T1.nii.gz")
    nifti(tmp_path / "y_T1.nii.gz")
    with pytest.raises(InputError, match="2 studies"):
        read_one_file(tmp_path, BRAIN, "session")


def test_an_upload_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_one_file(tmp_path / "x.nii.gz", BRAIN, "u")
