import gzip
import os
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from zeus_app.errors import InputError
from zeus_app.labels.files import (
    EXTENSIONS,
    MAX_BYTES_AFTER_VOXELS,
    read_label,
    read_mask,
    write_label,
)
from zeus_app.types import Volume

NAMES = {"lesion": 1}
STRIDE = 10  # bytes between those that are flipped
OBLIQUE = np.array(
    [[0.0, -2.0, 0.0, 5.0], [1.2, 0.0, 1.2, -7.0], [-0.9, 0.0, 1.6, 9.0], [0.0, 0.0, 0.0, 1.0]]
)  # axes of 1.5, 2 and 2 mm, turned about the patient's left-right axis


@pytest.fixture
def label() -> Volume:
    array = np.zeros((4, 5, 6), np.uint8)
    array[1, 2, 3] = 1
    return Volume(array, OBLIQUE)


@pytest.fixture(params=EXTENSIONS)
def label_file(label: Volume, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The label in each file format that a client may ask for."""
    path = tmp_path / f"label{request.param}"
    write_label(path, label, names=NAMES)
    return path


def test_a_label_survives_writing_and_reading(label: Volume, label_file: Path) -> None:
    stored = read_label(label_file)
    np.testing.assert_array_equal(stored.array, label.array)
    np.testing.assert_allclose(stored.affine_ras, OBLIQUE, atol=1e-5)


def test_simpleitk_finds_the_voxel_where_nibabel_s_affine_puts_it(label_file: Path) -> None:
    point = sitk.ReadImage(str(label_file)).TransformIndexToPhysicalPoint((1, 2, 3))
    x, y, z = (OBLIQUE @ [1, 2, 3, 1])[:3]
    np.testing.assert_allclose(point, (-x, -y, z), atol=1e-4)


def test_a_trailing_axis_of_one_is_dropped(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3, 1), np.uint8), np.eye(4)), tmp_path / "l.nii.gz")
    assert read_label(tmp_path / "l.nii.gz").array.shape == (3, 3, 3)


def test_a_label_of_layers_is_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3, 2), np.uint8), np.eye(4)), tmp_path / "l.nii.gz")
    with pytest.raises(InputError, match="2 volumes in one file"):
        read_label(tmp_path / "l.nii.gz")


def test_a_flat_label_is_one_slice(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.ones((3, 4), np.uint8), np.eye(4)), tmp_path / "l.nii.gz")
    assert read_label(tmp_path / "l.nii.gz").array.shape == (3, 4, 1)


def blob() -> Volume:
    """A label of 6×5×4 voxels whose values do not compress to nothing."""
    array = np.random.default_rng(0).integers(0, 2, (6, 5, 4), dtype=np.uint8)
    return Volume(array, OBLIQUE)


@pytest.mark.parametrize("extension", [".nii.gz", ".nii", ".nrrd"])
def test_a_label_file_with_one_byte_wrong_is_read_or_refused_and_nothing_else(
    tmp_path: Path, extension: str
) -> None:
    path = tmp_path / f"label{extension}"
    write_label(path, blob(), names=NAMES)
    content = path.read_bytes()
    refused = 0
    for at in range(0, len(content), STRIDE):
        for flip in (0x01, 0x80, 0xFF):
            path.write_bytes(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :])
            try:
                assert read_label(path).array.ndim == 3
            except InputError:
                refused += 1
    assert refused > 0


def test_a_label_whose_packed_voxels_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "label.nii.gz"
    write_label(path, blob(), names=NAMES)
    content, unpacked_before = path.read_bytes(), unpacked(path)
    for at in range(len(content) // 2, len(content), STRIDE):  # voxels, checksum and length
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        if unpacked(path) == unpacked_before:  # the last byte of deflate has unused bits
            continue
        with pytest.raises(InputError):
            read_label(path)


def unpacked(path: Path) -> bytes | None:
    """The content of a gzip file; None if it is damaged."""
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error):
        return None


def test_a_label_told_by_content_is_read_and_its_checksum_too(tmp_path: Path) -> None:
    write_label(tmp_path / "packed.nii.gz", blob(), names=NAMES)
    packed = (tmp_path / "packed.nii.gz").read_bytes()
    (tmp_path / "packed.nii").write_bytes(packed)
    (tmp_path / "plain.nii.gz").write_bytes(gzip.decompress(packed))
    for name in ("packed.nii", "plain.nii.gz"):
        np.testing.assert_array_equal(read_label(tmp_path / name).array, blob().array)
    (tmp_path / "packed.nii").write_bytes(packed[:-8] + bytes(4) + packed[-4:])
    with pytest.raises(InputError, match="CRC"):
        read_label(tmp_path / "packed.nii")


def test_a_file_that_is_no_label_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l.nrrd").write_bytes(b"no")
    with pytest.raises(InputError, match="cannot be read"):
        read_label(tmp_path / "l.nrrd")
    with pytest.raises(InputError, match=r"l.jpg"):
        read_label(tmp_path / "l.jpg")


def test_a_packed_label_with_far_more_than_its_header_states_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "label.nii.gz"
    small = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)).to_bytes()
    path.write_bytes(gzip.compress(small + bytes(MAX_BYTES_AFTER_VOXELS + 1)))
    with pytest.raises(InputError, match="more than the 360 bytes"):
        read_label(path)


def test_a_named_pipe_is_refused_and_not_read_for_ever(tmp_path: Path) -> None:
    pipe = tmp_path / "label.nii.gz"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="no regular file"):
        read_mask(pipe)


def test_a_mask_may_have_any_format_that_images_have(tmp_path: Path) -> None:
    array = np.zeros((4, 5, 6), np.uint8)
    array[1, 2, 3] = 7
    sitk.WriteImage(sitk.GetImageFromArray(array.T), str(tmp_path / "mask.mha"))
    nib.save(nib.MGHImage(array, np.eye(4)), tmp_path / "mask.mgz")
    for name in ("mask.mha", "mask.mgz"):
        np.testing.assert_array_equal(read_mask(tmp_path / name).array, array)
        with pytest.raises(InputError, match=name):
            read_label(tmp_path / name)
