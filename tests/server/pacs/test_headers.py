"""The headers of a PACS's study: what Zeus reads of them, asked for once, without Patient IDs."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dicom.fake_pacs import FakePacs, served
from tests.studies.tiny_files import dicom_series
from zeus_app.dicom.series import headers_of
from zeus_app.dicom.web.client import DicomWeb, Item
from zeus_app.errors import PacsAwayError
from zeus_app.server.pacs.headers import PacsHeaders, data_set_of
from zeus_app.server.pacs.study_list import PacsStudy
from zeus_app.settings.pacs import PacsSettings, pacs_access
from zeus_app.storage.pseudonyms import Pseudonyms

STUDY = PacsStudy("1.2.3", "", ("20260102", "", "1", "3"))


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[FakePacs]:
    with served(FakePacs()) as running:
        running.add_files(dicom_series(tmp_path / "source", "ep2d_diff").glob("*"))
        yield running


def headers_of_pacs(pacs: FakePacs, folder: Path) -> PacsHeaders:
    web = DicomWeb(pacs_access(pacs.url, PacsSettings(pacs_timeout_s=5), {}))
    return PacsHeaders(web, folder / "headers", Pseudonyms(b"k" * 32))


def b_values(items: list[Item]) -> list[float | None]:
    return [headers_of(data_set_of(item), Path("x"))[0].b_value for item in items]


def images(pacs: FakePacs, folder: Path) -> list[str]:
    items = headers_of_pacs(pacs, folder).of_study(STUDY)
    return [item["00080018"]["Value"][0] for item in items]


def test_a_vendors_b_value_that_the_headers_leave_out_is_asked_for(
    pacs: FakePacs, tmp_path: Path
) -> None:
    pacs.bulk = dict.fromkeys(images(pacs, tmp_path / "first"), b"800 ")
    assert b_values(headers_of_pacs(pacs, tmp_path).of_study(STUDY)) == [800.0] * 3
    assert pacs.count("/bulk/") == 3


def test_a_b_value_that_does_not_come_costs_no_image(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.bulk = dict.fromkeys(images(pacs, tmp_path / "first"), b"800 ")
    pacs.fault = {"/studies/1.2.3/series/": 404}
    assert b_values(headers_of_pacs(pacs, tmp_path).of_study(STUDY)) == [None] * 3


def test_headers_are_kept_without_the_patient_and_without_what_nobody_reads(
    pacs: FakePacs, tmp_path: Path
) -> None:
    headers_of_pacs(pacs, tmp_path).of_study(STUDY)
    (path,) = (tmp_path / "headers").iterdir()
    kept = json.loads(gzip.decompress(path.read_bytes()))["images"][0]
    assert kept["00100020"]["Value"] == [Pseudonyms(b"k" * 32).of("anna")]
    assert "0008103E" in kept  # the series' description
    assert not {"7FE00010", "00280100"} & kept.keys()


def test_a_damaged_file_of_headers_is_asked_for_again(pacs: FakePacs, tmp_path: Path) -> None:
    headers = headers_of_pacs(pacs, tmp_path)
    before = headers.of_study(STUDY)
    (path,) = (tmp_path / "headers").iterdir()
    path.write_text("{")
    assert headers.of_study(STUDY) == before
    assert pacs.count("metadata") == 2


def test_older_headers_serve_while_the_pacs_is_away(pacs: FakePacs, tmp_path: Path) -> None:
    headers = headers_of_pacs(pacs, tmp_path)
    before = headers.of_study(STUDY)
    pacs.fault = {"/": 503}
    changed = PacsStudy("1.2.3", "", ("20260102", "", "1", "4"))
    assert headers.of_study(changed) == before
    with pytest.raises(PacsAwayError):
        headers.of_study(PacsStudy("1.2.4", "", ()))
