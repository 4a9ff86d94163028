"""The list of a PACS has one entry for each MR study, and survives a restart."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.dicom.fake_pacs import FakePacs, served
from zeus_app.dicom.web.client import DicomWeb
from zeus_app.errors import PacsAwayError
from zeus_app.server.pacs.study_list import PacsList
from zeus_app.settings.pacs import PacsSettings, pacs_access
from zeus_app.storage.pseudonyms import Pseudonyms

KEY = b"k" * 32


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with served(FakePacs()) as running:
        yield running


def list_of(pacs: FakePacs, folder: Path) -> PacsList:
    web = DicomWeb(pacs_access(pacs.url, PacsSettings(pacs_timeout_s=5), {}))
    return PacsList(web, folder / "studies.json", Pseudonyms(KEY))


def asked(pacs: FakePacs, folder: Path) -> PacsList:
    studies = list_of(pacs, folder)
    studies.ask()
    return studies


def test_studies_without_mr_are_left_out_whether_or_not_the_pacs_filters(
    pacs: FakePacs, tmp_path: Path
) -> None:
    pacs.add_row("1.2.1", "MR SEG")
    pacs.add_row("1.2.2", "CT")
    assert [*asked(pacs, tmp_path).studies] == ["1.2.1"]
    pacs.filters = False
    assert [*asked(pacs, tmp_path).studies] == ["1.2.1"]


def test_a_study_whose_modalities_are_hidden_is_listed(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.add_row("1.2.1")
    del pacs.rows["1.2.1"]["00080061"]
    pacs.filters = False
    assert [*asked(pacs, tmp_path).studies] == ["1.2.1"]


def test_a_study_without_a_valid_uid_is_left_out(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.add_row("1.2.1")
    pacs.rows["x"] = {"0020000D": {"vr": "UI", "Value": ["../etc"]}}
    pacs.filters = False
    assert [*asked(pacs, tmp_path).studies] == ["1.2.1"]


def test_no_patient_id_is_kept(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.add_row("1.2.1", PatientID="anna-1961", PatientName="Doe^Anna")
    pacs.add_row("1.2.2", PatientID="anna-1961")
    pacs.add_row("1.2.3", PatientID="ANONYMOUS")
    studies = asked(pacs, tmp_path).studies
    patient = Pseudonyms(KEY).of("anna-1961")
    assert [study.patient for study in studies.values()] == [patient, patient, ""]
    saved = (tmp_path / "studies.json").read_text()
    assert not any(word in saved for word in ("anna", "Doe", "ANONYMOUS"))


def test_the_list_of_an_earlier_start_is_the_same(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.add_row("1.2.1", PatientID="anna")
    before = asked(pacs, tmp_path)
    after = list_of(pacs, tmp_path)
    age_s = after.read_saved()
    assert age_s is not None
    assert age_s < 60
    assert after.studies == before.studies


@pytest.mark.parametrize("text", ["", "[]", '{"pacs": "http://other/dicom-web", "studies": []}'])
def test_a_saved_list_that_is_damaged_or_of_another_pacs_is_not_used(
    pacs: FakePacs, tmp_path: Path, text: str
) -> None:
    assert list_of(pacs, tmp_path).read_saved() is None
    (tmp_path / "studies.json").write_text(text)
    assert list_of(pacs, tmp_path).read_saved() is None


def test_a_pacs_that_is_away_leaves_the_list_as_it_was(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.add_row("1.2.1")
    studies = asked(pacs, tmp_path)
    pacs.fault = {"/studies": 503}
    with pytest.raises(PacsAwayError):
        studies.ask()
    assert [*studies.studies] == ["1.2.1"]


def test_recent_studies_are_added_without_asking_for_all(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.add_rows(600)
    studies = asked(pacs, tmp_path)
    pacs.add_row("1.3", date=f"{date.today():%Y%m%d}")
    pacs.requests.clear()
    studies.ask_for_recent()
    assert len(studies.studies) == 601
    assert all("StudyDate=" in request for request in pacs.requests)


def test_a_filter_of_the_settings_is_sent(pacs: FakePacs, tmp_path: Path) -> None:
    settings = PacsSettings(pacs_filter="StudyDescription=*prostate*")
    web = DicomWeb(pacs_access(pacs.url, settings, {}))
    PacsList(web, tmp_path / "studies.json", Pseudonyms(KEY)).ask()
    assert "StudyDescription=%2Aprostate%2A" in pacs.requests[0]
    assert "ModalitiesInStudy=MR" in pacs.requests[0]
    assert list_of(pacs, tmp_path).read_saved() is None  # the list of another filter


def test_a_study_that_is_gone_leaves_the_list(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.add_row("1.2.1")
    studies = asked(pacs, tmp_path)
    studies.forget("1.2.1")
    assert studies.studies == {}


def test_ten_thousand_studies_cost_a_request_a_page_and_little_disk(
    pacs: FakePacs, tmp_path: Path
) -> None:
    pacs.add_rows(10_000)
    pacs.page = 500
    studies = list_of(pacs, tmp_path)
    studies.ask()
    assert len(studies.studies) == 10_000
    assert len(pacs.requests) == 21
    assert (tmp_path / "studies.json").stat().st_size < 2 << 20
