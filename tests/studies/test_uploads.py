"""The images of an upload are bounded by their headers, and lead nowhere else."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.studies.tiny_files import dicom_series, nifti
from zeus_app.errors import InputError, TooLargeError
from zeus_app.studies.uploads import check_images


def test_the_voxels_of_all_files_count_together(tmp_path: Path) -> None:
    for name in ("t1", "t2"):
        nifti(tmp_path / "a" / f"{name}.nii.gz", np.zeros((5, 4, 3), np.uint8))
    check_images(tmp_path, max_voxels=120)
    check_images(tmp_path / "a" / "t1.nii.gz", max_voxels=60)
    with pytest.raises(TooLargeError, match="120 voxels"):
        check_images(tmp_path, max_voxels=119)


def test_pixels_of_dicom_files_count_too(tmp_path: Path) -> None:
    dicom_series(tmp_path, "T2")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    data = pydicom.dcmread(files[0])
    pixels = data.Rows * data.Columns
    check_images(tmp_path, max_voxels=pixels * len(files))
    with pytest.raises(TooLargeError):
        check_images(tmp_path, max_voxels=pixels * len(files) - 1)
    data.Rows = data.Columns = 60_000
    data.save_as(files[0])
    with pytest.raises(TooLargeError, match="3600000000 voxels"):
        check_images(tmp_path, max_voxels=10_000)


def test_a_dicom_header_that_unpacks_to_more_is_refused(tmp_path: Path) -> None:
    dicom_series(tmp_path, "T2")
    file = next(path for path in tmp_path.rglob("*") if path.is_file())
    data = pydicom.dcmread(file)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.save_as(tmp_path / "x.dcm")
    with pytest.raises(InputError, match="deflated"):
        check_images(tmp_path / "x.dcm", max_voxels=10**9)


def test_a_dicom_header_without_preamble_whose_packing_is_unknown_is_refused(
    tmp_path: Path,
) -> None:
    file = dicom_series(tmp_path, "T2") / "000.dcm"
    file.write_bytes(file.read_bytes()[132:])  # begins with the file meta information
    with pytest.raises(InputError, match="preamble is missing"):
        check_images(file, max_voxels=10**9)


@pytest.mark.parametrize("name", ["t2.nii.gz", "1.dcm", "folder"])
def test_a_link_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "study").mkdir()
    target = nifti(tmp_path / "t2.nii.gz", np.zeros((5, 4, 3), np.uint8))
    (tmp_path / "study" / name).symlink_to(tmp_path if name == "folder" else target)
    with pytest.raises(InputError, match="an upload named"):
        check_images(tmp_path / "study", max_voxels=10**9)


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cases.yaml").write_text("[]")
    with pytest.raises(InputError, match=r"cases\.yaml"):
        check_images(tmp_path, max_voxels=10**9)
