"""The preparation of a study costs what it took when nothing was cached."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from tests.bench.rows import a_suite
from tests.training.conftest import tiny_case
from zeus_app.bench import preparation as module
from zeus_app.bench.jobs import plan
from zeus_app.bench.preparation import Preparation
from zeus_app.errors import InputError
from zeus_app.progress import silent
from zeus_app.training.setup import TrainingSetup
from zeus_app.types import LabelledStudy

SETUP = cast(TrainingSetup, None)


@pytest.fixture(autouse=True)
def _prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every study but "bad" is prepared at once."""

    def prepare(setup: object, studies: list[LabelledStudy], *, report: object) -> Any:
        name = studies[0].id
        return ({}, {name: "no tissue"}) if name == "bad" else ({name: tiny_case(name)}, {})

    monkeypatch.setattr(module, "prepare_cases", prepare)


def study(name: str) -> LabelledStudy:
    def unread() -> Any:
        pytest.fail("nothing is read")

    return LabelledStudy(name, unread, unread, unread, patient=name, sequences=())


def a_preparation(folder: Path, shard: str = "", **part: Any) -> Preparation:
    return Preparation(folder, plan(a_suite(**part))[0], shard=shard)


def test_a_study_costs_the_same_every_time(tmp_path: Path) -> None:
    first = a_preparation(tmp_path).prepare(SETUP, [study("a")], silent)["a"].seconds
    record = a_preparation(tmp_path).state / "seconds" / "a.json"
    assert json.loads(record.read_text()) == first
    record.write_text("123.5")
    assert a_preparation(tmp_path).prepare(SETUP, [study("a")], silent)["a"].seconds == 123.5


def test_models_that_differ_by_the_decoder_share_embeddings_and_others_do_not(
    tmp_path: Path,
) -> None:
    def state(**conf: str) -> Path:
        return a_preparation(tmp_path, entries=[conf]).state

    assert state(model="zeus", decoder="sam") == state(model="zeus", decoder="readout")
    assert state(model="zeus") != state(model="unet")
    assert state(model="zeus") != state(model="zeus", profile="clip")
    assert a_preparation(tmp_path, shard="1-of-2").state != a_preparation(tmp_path).state


def test_what_a_killed_job_left_is_removed_so_that_nothing_is_charged_too_little(
    tmp_path: Path,
) -> None:
    killed = a_preparation(tmp_path)
    with pytest.raises(InputError, match="study bad: no tissue"):
        killed.prepare(SETUP, [study("a"), study("bad")], silent)
    assert (killed.state / "seconds" / "a.json").exists()
    assert not a_preparation(tmp_path).state.exists()
