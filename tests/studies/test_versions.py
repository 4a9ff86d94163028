"""A source has the version of its files, unless it knows its own."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.dicom.enhanced_files import Frame, enhanced_mr
from tests.studies.tiny_files import nifti
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.studies.versions import version_of, watched_files
from zeus_app.types import Grid, Volume
from zeus_app.volumes.sources import NiftiSource


@dataclass(frozen=True)
class OfPacs:
    files: tuple[Path, ...]
    version: tuple[str, ...]

    def grid(self) -> Grid:
        raise NotImplementedError

    def load(self) -> Volume:
        raise NotImplementedError


def test_the_version_of_a_file_is_its_path_time_and_size(tmp_path: Path) -> None:
    source = NiftiSource(nifti(tmp_path / "T2.nii.gz"))
    (path,) = source.files
    os.utime(path, ns=(0, 1_000_000_007))
    assert version_of(source) == ((str(path), 1_000_000_007, path.stat().st_size),)
    assert watched_files(source) == (path,)


def test_the_version_of_a_file_that_is_gone_is_unknown(tmp_path: Path) -> None:
    source = NiftiSource(nifti(tmp_path / "T2.nii.gz"))
    source.files[0].unlink()
    with pytest.raises(FileNotFoundError):
        version_of(source)


def test_a_source_that_knows_its_version_needs_no_files(tmp_path: Path) -> None:
    source = OfPacs((tmp_path / "not-there.dcm",), ("1.2.3", "1.2.3.1"))
    assert version_of(source) == ("1.2.3", "1.2.3.1")
    assert watched_files(source) == ()


def test_volumes_of_one_file_have_versions_of_their_own(tmp_path: Path) -> None:
    path = enhanced_mr(tmp_path / "a.dcm", [Frame((0, 0, 0)), Frame((0, 0, 3))])
    first, second = (DicomSeriesSource((path,), frames=((path, number),)) for number in (0, 1))
    assert version_of(first) != version_of(second)
    assert version_of(first)[0] == version_of(DicomSeriesSource((path,)))[0]
