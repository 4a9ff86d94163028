"""Formats that Zeus does not read are told, with what to do; content tells gzip."""

import bz2
import gzip
from pathlib import Path

import pytest

from tests.studies.tiny_files import nifti
from zeus_app.errors import InputError
from zeus_app.volumes.formats import is_gzip, unread_format
from zeus_app.volumes.sources import ItkSource, NiftiSource, is_volume


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("T1.mnc", "mnc2nii"), ("brain.PAR", "dcm2niix"), ("anat+orig.HEAD", "3dAFNItoNIFTI"),
        ("T1.mif.gz", "mrconvert"), ("T1.img", "nib-convert"), ("T1.hdr", "nib-convert"),
        ("x.surf.gii", "surface"), ("lh.pial", "surface"), ("T1.nii.zst", "unpack"),
        ("p.01.tar.gz", "unpack"), ("T1.npy", "affine"), ("slices.TIF", "no place in space"),
    ],
)  # fmt: skip
def test_a_format_that_is_not_read_is_told_with_what_to_do(
    tmp_path: Path, name: str, words: str
) -> None:
    assert words in (unread_format(tmp_path / name) or "")
    assert not is_volume(tmp_path / name)


@pytest.mark.parametrize(
    "name",
    ["T1.nii", "T1.nii.gz", "T1.mgz", "T1.mha", "T1.nhdr", "T1.raw", "notes.txt", "image", ".img",
     "1.2.840.113", "._T1.mnc", "T1.dcm", "bval", "T1.json"],
)  # fmt: skip
def test_other_files_are_not_told(tmp_path: Path, name: str) -> None:
    assert unread_format(tmp_path / name) is None


def test_an_image_of_two_files_is_told_once(tmp_path: Path) -> None:
    for name in ("T1.img", "T1.hdr", "x.REC", "x.PAR", "alone.img"):
        (tmp_path / name).touch()
    told = {path.name for path in tmp_path.iterdir() if unread_format(path)}
    assert told == {"T1.hdr", "x.PAR", "alone.img"}


def test_content_tells_gzip(tmp_path: Path) -> None:
    assert is_gzip(nifti(tmp_path / "x.nii.gz"))
    assert not is_gzip(nifti(tmp_path / "x.nii"))
    (tmp_path / "empty.nii.gz").touch()
    assert not is_gzip(tmp_path / "empty.nii.gz")


@pytest.mark.parametrize("name", ["x.nrrd", "x.mha"])
def test_an_itk_file_that_is_packed_as_a_whole_is_refused_with_the_packer(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"NRRD0004\n"))
    with pytest.raises(InputError, match=r"is a gzip file.*rename it"):
        ItkSource(tmp_path / name).grid()


def test_another_packer_than_gzip_is_named(tmp_path: Path) -> None:
    plain = nifti(tmp_path / "x.nii").read_bytes()
    (tmp_path / "x.nii.gz").write_bytes(bz2.compress(plain))
    with pytest.raises(InputError, match=r"is a bzip2 file.*rename it"):
        NiftiSource(tmp_path / "x.nii.gz").grid()
