"""A Study Instance UID names its study, a Series Instance UID one image of it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from zeus_app.errors import InputError, UnknownNameError
from zeus_app.server.studies.dicom_ids import DicomIds, dicom_info, image_of, series_of
from zeus_app.types import Grid, StudyFiles, Volume


@dataclass(frozen=True)
class Source:
    files: tuple[Path, ...]

    def grid(self) -> Grid:
        raise NotImplementedError

    def load(self) -> Volume:
        raise NotImplementedError


T2, SAGITTAL = Source((Path("t2.dcm"),)), Source((Path("sag.dcm"),))


def study(name: str, study_uid: str = "1.2") -> StudyFiles:
    series = {"1.2.1": T2, "1.2.2": SAGITTAL} if study_uid else {}
    return StudyFiles(name, {"T2": T2}, patient="p", study_uid=study_uid, series=series)


ANNA = study("anna")


def test_a_study_uid_names_the_whole_study() -> None:
    assert DicomIds().find("1.2", {"anna": ANNA}) == ("anna", "")


def test_a_series_uid_names_one_image_of_its_study() -> None:
    assert DicomIds().find("1.2.2", {"anna": ANNA}) == ("anna", "1.2.2")


def test_an_unknown_uid_names_nothing() -> None:
    assert DicomIds().find("1.2.3", {"anna": ANNA}) is None


def test_studies_of_other_files_have_no_uid() -> None:
    assert DicomIds().find("", {"bob": study("bob", study_uid="")}) is None


def test_studies_that_came_later_are_found() -> None:
    ids = DicomIds()
    ids.find("1.2", {})
    assert ids.find("1.2", {"anna": ANNA}) == ("anna", "")


def test_a_uid_of_two_studies_is_refused_with_both() -> None:
    copies = {"anna": ANNA, "copy": study("copy")}
    with pytest.raises(InputError, match=r"UID 1\.2, which several studies have: 'anna', 'copy'"):
        DicomIds().find("1.2", copies)


def test_the_series_of_a_sequence_is_this_sequence() -> None:
    assert image_of(ANNA, "1.2.1") == "T2"


def test_another_series_is_itself() -> None:
    assert image_of(ANNA, "1.2.2") == "1.2.2"


def test_a_sequence_is_itself() -> None:
    assert image_of(ANNA, "T2") == "T2"


def test_an_image_that_the_study_lacks_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"the study has no 1\.9; it has T2"):
        image_of(ANNA, "1.9")


def test_an_image_has_the_uid_of_its_series() -> None:
    assert series_of(ANNA, SAGITTAL) == "1.2.2"


def test_an_image_of_other_files_has_no_uid() -> None:
    assert series_of(ANNA, Source((Path("flair.nii"),))) == ""


def test_viewers_read_the_uids_of_an_image() -> None:
    assert dicom_info(ANNA, SAGITTAL) == {
        "StudyInstanceUID": "1.2",
        "SeriesInstanceUID": "1.2.2",
        "Modality": "MR",
        "RetrieveURL": "/proxy/dicom/wado/studies/1.2/series/1.2.2",
    }


def test_viewers_read_the_uid_of_a_whole_study() -> None:
    assert dicom_info(ANNA) == {
        "StudyInstanceUID": "1.2",
        "Modality": "MR",
        "RetrieveURL": "/proxy/dicom/wado/studies/1.2",
    }


def test_other_studies_have_no_uids() -> None:
    assert dicom_info(study("bob", study_uid=""), T2) == {}
