"""Which study comes next, whatever stands in the files of older versions."""

import random
from pathlib import Path

import pytest

from tests.server.conftest import make_study
from zeus_app.server.context import open_context
from zeus_app.server.studies.datastore import StudyDatastore
from zeus_app.server.tasks.strategies import RandomUnlabelled


@pytest.fixture
def store(tmp_path: Path) -> StudyDatastore:
    for seed, study in enumerate(("alpha", "bravo")):
        make_study(tmp_path / "studies", study, seed)
    return open_context(str(tmp_path / "studies"), {"state": str(tmp_path / "state")}).datastore


def test_the_study_that_was_chosen_long_ago_is_likelier(
    store: StudyDatastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[int]] = []

    def choose(studies: list[str], weights: list[int]) -> list[str]:
        drawn.append(weights)
        return studies

    monkeypatch.setattr(random, "choices", choose)
    store.record_sample("alpha", "random", "anna")
    assert RandomUnlabelled()({}, store) == {"id": "alpha"}
    ((alpha, bravo),) = drawn
    assert alpha < 1000 < bravo  # seconds since alpha was chosen, and since 1970


@pytest.mark.parametrize(
    "text", ["{", '{"random": "x"}', '{"random": {"ts": "x"}}', '{"random": {"ts": NaN}}', "[]"]
)
def test_a_damaged_history_does_not_stop_it(
    store: StudyDatastore, tmp_path: Path, text: str
) -> None:
    store.record_sample("alpha", "random", None)
    (file,) = (tmp_path / "state").rglob("strategies/alpha.json")
    file.write_text(text)
    chosen = RandomUnlabelled()({}, store)
    assert chosen is not None
    assert chosen["id"] in ("alpha", "bravo")


def test_a_note_called_strategy_does_not_stop_it(store: StudyDatastore) -> None:
    store.update_image_info("alpha", {"strategy": {"random": {"ts": "x"}}})
    store.update_image_info("bravo", {"strategy": "x"})
    assert RandomUnlabelled()({}, store) is not None
    assert store.strategy_history("alpha") == {}
