"""A DICOM series is read from paths that ITK can take."""

import os
from pathlib import Path

import pytest

from tests.studies.tiny_files import dicom_series
from zeus_app.dicom.source import DicomSeriesSource
from zeus_app.errors import InputError


def test_a_path_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path / os.fsdecode(b"M\xfcller"), "t2_tra")
    source = DicomSeriesSource(tuple(folder.iterdir()))
    assert source.grid().shape == (5, 4, 3)
    with pytest.raises(InputError, match=r"M\\xfcller/00..dcm, a name that is no UTF-8"):
        source.load()
