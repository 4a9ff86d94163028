"""The process of a task: it reads its request, calls the app, and writes one outcome."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.server.fakes.fake_worker import FakeApp
from zeus_app.server.jobs import task_worker
from zeus_app.server.jobs.task_processes import OUTCOME, REQUEST


def outcome(folder: Path, kind: str, do: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, Any]:
    monkeypatch.setattr(task_worker, "app_instance", FakeApp)
    (folder / REQUEST).write_text(json.dumps({"kind": kind, "request": {"do": do}}))
    code = task_worker.run(folder)
    return code, json.loads((folder / OUTCOME).read_text())


@pytest.mark.parametrize("kind", ["train", "batch_infer", "scoring"])
def test_the_result_is_written(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, written = outcome(tmp_path, kind, "echo", monkeypatch)
    assert code == 0
    assert written["result"]["request"] == {"do": "echo"}


def test_a_refusal_is_written_with_its_words_and_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"came": "an unlucky seed", "expected": "another", "remedy": "choose one"}
    assert outcome(tmp_path, "train", "refuse", monkeypatch) == (
        2, {"refused": words, "status": 400},
    )  # fmt: skip


def test_another_error_keeps_its_traceback_and_writes_no_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="exploded"):
        outcome(tmp_path, "train", "fail", monkeypatch)
    assert not (tmp_path / OUTCOME).exists()
