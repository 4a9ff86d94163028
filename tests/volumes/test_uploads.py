"""An uploaded volume holds its own voxels, and as many as allowed."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.studies.tiny_files import nifti
from zeus_app.errors import InputError, TooLargeError
from zeus_app.volumes.uploads import check_upload, header_grid

VOXELS = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)


@pytest.fixture(params=["t2.nii.gz", "t2.nii", "t2.mha", "t2.nrrd"])
def volume(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    stored = nifti(tmp_path / "in" / "t2.nii", VOXELS)
    path = tmp_path / str(request.param)
    sitk.WriteImage(sitk.ReadImage(str(stored)), path)
    return path


def test_the_header_tells_the_number_of_voxels(volume: Path) -> None:
    assert check_upload(volume, max_voxels=60) == 60
    assert header_grid(volume).shape == (5, 4, 3)
    with pytest.raises(TooLargeError, match="60 voxels"):
        check_upload(volume, max_voxels=59)


def test_a_volume_of_two_files_is_refused(tmp_path: Path) -> None:
    stored = nifti(tmp_path / "in" / "t2.nii", VOXELS)
    sitk.WriteImage(sitk.ReadImage(str(stored)), tmp_path / "t2.mhd")
    assert (tmp_path / "t2.raw").exists()
    with pytest.raises(InputError, match="lie in another file"):
        check_upload(tmp_path / "t2.mhd", max_voxels=1000)


def test_a_header_that_states_more_than_the_file_can_hold_is_refused(volume: Path) -> None:
    volume.write_bytes(volume.read_bytes()[:-40])
    with pytest.raises(InputError):
        check_upload(volume, max_voxels=10**9)


def test_a_link_is_refused(tmp_path: Path) -> None:
    nifti(tmp_path / "t2.nii", VOXELS)
    (tmp_path / "t1.nii").symlink_to(tmp_path / "t2.nii")
    with pytest.raises(InputError, match="an upload named"):
        check_upload(tmp_path / "t1.nii", max_voxels=1000)


@pytest.mark.parametrize("name", ["t2.txt", "t2", ".t2.nii", "t2.nii.zip", "cases.yaml"])
def test_another_format_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match="a file that ends in"):
        check_upload(tmp_path / name, max_voxels=1000)
