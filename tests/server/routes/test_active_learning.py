"""The next study of a PACS: those without a sequence of the target are passed over."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.dicom.fake_pacs import FakePacs, served
from tests.studies.tiny_files import dicom_series
from zeus_app.errors import BusyError
from zeus_app.server.context import open_context
from zeus_app.server.routes import active_learning
from zeus_app.server.tasks.strategies import FirstUnlabelled


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Any]:
    """An app of a PACS with three knees and one prostate."""
    with served(FakePacs()) as pacs:
        for number, name in enumerate(("pd_tse", "pd_tse", "pd_tse", "t2_tse_tra"), start=1):
            folder = dicom_series(tmp_path / str(number), name, study_uid=f"1.2.{number}")
            pacs.add_files(folder.glob("*"))
        conf = {"target": "prostate", "state": str(tmp_path / "state")}
        strategies = {"first": FirstUnlabelled()}
        yield SimpleNamespace(context=open_context(pacs.url, conf), tasks=lambda _: strategies)


def sample(app: Any) -> str:
    return str(active_learning._sample("first", {}, app)["id"])


def test_a_study_without_a_sequence_of_the_target_is_passed_over(app: Any) -> None:
    assert sample(app) == "1.2.4"
    assert len(app.context.datastore.problems) == 3


def test_one_request_does_not_open_a_whole_pacs(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(active_learning, "LONGEST_S", -1.0)
    for _ in range(3):
        with pytest.raises(BusyError, match="none of the studies"):
            sample(app)
    assert sample(app) == "1.2.4"
