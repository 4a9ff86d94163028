"""Files are found by their UIDs, as they are now."""

from pathlib import Path

import pydicom
import pytest

from tests.studies.tiny_files import dicom_series
from zeus_app.dicom.web.files import WebFiles, WebStudy
from zeus_app.dicom.web.paths import read_path
from zeus_app.errors import UnknownNameError


def served(*studies: WebStudy) -> WebFiles:
    return WebFiles(lambda uid: [s for s in studies if uid in ("", s.uid)], "/root")


def count(files: WebFiles, path: str) -> int:
    return len(list(files.files(read_path(path))))


def test_a_study_that_lies_in_two_places_is_listed_once(tmp_path: Path) -> None:
    first = tuple(dicom_series(tmp_path / "a", "t2").iterdir())
    second = tuple(dicom_series(tmp_path / "b", "flair").iterdir())
    files = served(
        WebStudy("1.2.3", {"1.1": first}), WebStudy("1.2.3", {"1.1": second, "1.2": second})
    )
    assert len(list(files.studies())) == 1
    assert count(files, "studies/1.2.3") == 6
    found = files.files(read_path("studies/1.2.3/series/1.1"))
    assert {file.path for file in found} == set(first)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    paths = tuple(sorted(dicom_series(tmp_path / "a", "t2").iterdir()))
    files = served(WebStudy("1.2.3", {"1.1": paths}))
    assert count(files, "studies/1.2.3/series/1.1/instances/1.77") == 0
    data = pydicom.dcmread(paths[0])
    data.SOPInstanceUID, data.PatientName = "1.77", "Longer^Name"
    data.save_as(paths[0])
    assert count(files, "studies/1.2.3/series/1.1/instances/1.77") == 1


def test_a_series_whose_files_are_gone_is_not_listed(tmp_path: Path) -> None:
    paths = tuple(dicom_series(tmp_path / "a", "t2").iterdir())
    gone = (tmp_path / "gone.dcm",)
    files = served(WebStudy("1.2.3", {"1.1": gone, "1.2": paths}), WebStudy("1.4", {"1.3": gone}))
    (study,) = files.studies()
    assert study["00201206"]["Value"] == [1]
    (series,) = files.series(read_path("studies/1.2.3/series"))
    assert series["0020000E"]["Value"] == ["1.2"]


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    files = served(WebStudy("1.4", {"1.3": (tmp_path / "gone.dcm",)}))
    with pytest.raises(UnknownNameError, match="No such file"):
        count(files, "studies/1.4")
