"""New, changed and removed studies of a PACS are found when a client asks, at little cost."""

import os
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.dicom.fake_pacs import FakePacs, served
from zeus_app.errors import InputError, PacsError
from zeus_app.server.context import open_context
from zeus_app.server.pacs.search import LEAST_REST_S
from zeus_app.server.studies.datastore import StudyDatastore

TODAY = f"{date.today():%Y%m%d}"


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with served(FakePacs()) as running:
        running.add_row("1.2.1")
        yield running


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds by which the clock is ahead; a test may add some."""
    ahead = [0.0]
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + sum(ahead))
    return ahead


def opened(pacs: FakePacs, state: Path) -> StudyDatastore:
    return open_context(pacs.url, {"state": str(state), "pacs_timeout_s": "5"}).datastore


def look(store: StudyDatastore, later: list[float], *, after_s: float) -> list[str]:
    later.append(after_s)
    store.look()
    return store.list_images()


def test_a_new_study_of_today_is_seen_within_seconds(
    pacs: FakePacs, tmp_path: Path, later: list[float]
) -> None:
    store = opened(pacs, tmp_path)
    pacs.add_row("1.2.2", date=TODAY)
    assert look(store, later, after_s=LEAST_REST_S) == ["1.2.1", "1.2.2"]
    assert "StudyDate=" in pacs.requests[-1]


def test_an_old_study_that_is_sent_now_is_seen_within_a_minute(
    pacs: FakePacs, tmp_path: Path, later: list[float]
) -> None:
    store = opened(pacs, tmp_path)
    pacs.add_row("1.2.2", date="20010101")
    assert look(store, later, after_s=60) == ["1.2.1", "1.2.2"]


def test_a_removed_study_is_seen_within_a_minute(
    pacs: FakePacs, tmp_path: Path, later: list[float]
) -> None:
    store = opened(pacs, tmp_path)
    pacs.remove("1.2.1")
    assert look(store, later, after_s=60) == []


def test_the_pacs_rests_between_two_looks(
    pacs: FakePacs, tmp_path: Path, later: list[float]
) -> None:
    store = opened(pacs, tmp_path)
    look(store, later, after_s=60)
    asked = len(pacs.requests)
    for _ in range(20):
        look(store, later, after_s=0.1)
    assert len(pacs.requests) == asked


def test_an_orthanc_without_changes_is_asked_for_their_number_alone(
    pacs: FakePacs, tmp_path: Path, later: list[float]
) -> None:
    pacs.last_change = 7
    store = opened(pacs, tmp_path)
    pacs.requests.clear()
    look(store, later, after_s=LEAST_REST_S)
    assert pacs.requests == ["/changes?last"]


def test_an_orthanc_with_changes_is_asked_for_its_studies(
    pacs: FakePacs, tmp_path: Path, later: list[float]
) -> None:
    pacs.last_change = 7
    store = opened(pacs, tmp_path)
    pacs.add_row("1.2.2", date="20010101")
    pacs.last_change = 8
    assert look(store, later, after_s=LEAST_REST_S) == ["1.2.1", "1.2.2"]


def test_a_pacs_that_is_away_keeps_the_list(
    pacs: FakePacs, tmp_path: Path, later: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(pacs, tmp_path)
    pacs.fault = {"/": 503}
    assert look(store, later, after_s=60) == ["1.2.1"]
    assert "no new studies can be found" in caplog.text
    with pytest.raises(PacsError):
        store.refresh()


def test_a_server_starts_with_the_saved_list_while_the_pacs_is_away(
    pacs: FakePacs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened(pacs, tmp_path)
    saved = tmp_path / "pacs" / "studies.json"
    an_hour_ago(saved)
    pacs.fault = {"/": "drop"}
    assert opened(pacs, tmp_path).list_images() == ["1.2.1"]
    assert "serving the list of the PACS of 60 minutes ago" in caplog.text


def test_a_server_does_not_start_without_a_list(pacs: FakePacs, tmp_path: Path) -> None:
    pacs.fault = {"/": "drop"}
    with pytest.raises(InputError, match="does not answer"):
        opened(pacs, tmp_path)


def test_a_server_does_not_start_with_wrong_credentials(pacs: FakePacs, tmp_path: Path) -> None:
    opened(pacs, tmp_path)
    an_hour_ago(tmp_path / "pacs" / "studies.json")
    pacs.fault = {"/studies": 401}
    with pytest.raises(InputError, match="ZEUS_PACS_PASSWORD"):
        opened(pacs, tmp_path)


def test_a_process_beside_the_server_takes_its_fresh_list(pacs: FakePacs, tmp_path: Path) -> None:
    opened(pacs, tmp_path)
    pacs.requests.clear()
    assert opened(pacs, tmp_path).list_images() == ["1.2.1"]
    assert pacs.requests == []


def an_hour_ago(path: Path) -> None:
    then_s = time.time() - 3600
    os.utime(path, (then_s, then_s))
