"""The worker process is warm, less urgent than its server, and ends with it in every way."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tests.server.conftest import affine, make_tall_study, tall_lesion
from tests.waiting import wait_until
from zeus_app.labels.versions import FINAL, LabelHistory
from zeus_app.server.jobs.learning_process import CANCELLED, LearningProcess, WorkerEndedError
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.state import state_folder
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.types import Volume

pytestmark = pytest.mark.slow
STARTS = """
import signal, sys, time
from pathlib import Path
from zeus_app.server.jobs.learning_process import LearningProcess
from zeus_app.settings.config import ZeusConfig
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
process = LearningProcess(Path(sys.argv[1]), ZeusConfig.model_validate_json(sys.argv[2]))
print(process._process.pid, flush=True)
time.sleep(600)
"""


def settings(folder: Path, **more: str) -> ZeusConfig:
    conf = {"target": "phantom", "model": "unet", "fusion": "early", "device": "cpu",
            "state": str(folder / "state"), "learn": "on", "learn_s": "0.1", **more}  # fmt: skip
    return ZeusConfig.from_conf(conf)


def checkpoints(folder: Path) -> Checkpoints:
    state = state_folder(settings(folder), target="phantom", studies=folder / "studies")
    return Checkpoints(state.checkpoints)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A studies folder with one labelled study."""
    folder = tmp_path_factory.mktemp("learning")
    make_tall_study(folder / "studies", "alpha", 1)
    state = state_folder(settings(folder), target="phantom", studies=folder / "studies")
    LabelHistory(state.labels).save("alpha", FINAL, Volume(tall_lesion(), affine()), {})
    return folder


@pytest.fixture(scope="module")
def process(folder: Path) -> Iterator[LearningProcess]:
    process = LearningProcess(folder / "studies", settings(folder))
    yield process
    process.close()


def never() -> bool:
    return False


def test_a_case_becomes_a_version_and_the_process_stays(
    process: LearningProcess, folder: Path
) -> None:
    first = process.learn("alpha", interrupted=never)
    assert first["steps"] >= 1
    assert first["version"] == "v0001"
    second = process.learn("alpha", interrupted=never)
    assert second["parent"] == "v0001"
    assert len(checkpoints(folder).versions()) >= 1


def test_the_process_is_less_urgent_than_its_server(process: LearningProcess) -> None:
    worker = psutil.Process(process._process.pid)
    assert worker.nice() == min(19, os.nice(0) + 10)


def test_an_interruption_leaves_the_case(process: LearningProcess, folder: Path) -> None:
    patient = LearningProcess(folder / "studies", settings(folder, learn_s="600"))
    before = len(checkpoints(folder).versions())
    assert patient.learn("alpha", interrupted=lambda: True) == CANCELLED
    assert len(checkpoints(folder).versions()) == before
    patient.close()


def test_an_unknown_study_is_a_result_and_no_end(process: LearningProcess) -> None:
    assert process.learn("nobody", interrupted=never)["reason"].startswith("the study has no")


def test_a_killed_process_is_noticed_and_leaves_the_served_version(folder: Path) -> None:
    process = LearningProcess(folder / "studies", settings(folder, learn_s="600"))
    served = checkpoints(folder).served()

    def kill() -> bool:
        process._process.send_signal(signal.SIGKILL)
        return False

    with pytest.raises(WorkerEndedError, match="code -9"):
        process.learn("alpha", interrupted=kill)
    assert checkpoints(folder).served() == served


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_process_ends_with_its_server(folder: Path, number: signal.Signals) -> None:
    config = settings(folder).model_dump_json()
    server = subprocess.Popen(
        [sys.executable, "-c", STARTS, str(folder / "studies"), config],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    worker = psutil.Process(int(server.stdout.readline()))
    server.send_signal(number)
    server.wait()
    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def test_settings_that_cannot_be_used_are_noticed_at_the_start(folder: Path) -> None:
    config = SimpleNamespace(model_dump=lambda mode: {"target": "nonsense"})
    with pytest.raises(WorkerEndedError, match="code 1"):
        LearningProcess(folder / "studies", config)  # type: ignore[arg-type]
