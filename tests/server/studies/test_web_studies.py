"""Viewers see the DICOM studies of the list, with the results of Zeus."""

from pathlib import Path

from tests.studies.tiny_files import dicom_series, nifti
from zeus_app.dicom.web.files import WebStudy
from zeus_app.server.studies.web_studies import web_studies
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target

RESULT = {"1.9.9": (Path("seg.dcm"),)}


def seen(folder: Path, uid: str = "") -> list[WebStudy]:
    studies = find_studies(folder, load_target("phantom")).studies
    return list(web_studies(uid, studies, lambda _: RESULT))


def test_a_study_shows_its_series_and_the_results_of_zeus(tmp_path: Path) -> None:
    files = set(dicom_series(tmp_path / "anna" / "t2", "t2_tra").iterdir())
    (study,) = seen(tmp_path)
    assert study.uid == "1.2.3"
    assert [set(paths) for paths in study.series.values()] == [{Path("seg.dcm")}, files]


def test_a_study_of_other_files_is_left_out(tmp_path: Path) -> None:
    nifti(tmp_path / "bob" / "bob_t2.nii.gz")
    assert seen(tmp_path) == []


def test_one_study_can_be_asked_for(tmp_path: Path) -> None:
    dicom_series(tmp_path / "anna" / "t2", "t2_tra")
    dicom_series(tmp_path / "bea" / "t2", "t2_tra", study_uid="1.2.4")
    assert [study.uid for study in seen(tmp_path, "1.2.4")] == ["1.2.4"]
    assert seen(tmp_path, "1.2.5") == []
