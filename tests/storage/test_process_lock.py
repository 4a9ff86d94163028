"""A lock that ends with its process."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zeus_app.storage.process_lock import LockedError, ProcessLock

HOLDER = """
import sys
from pathlib import Path
from zeus_app.storage.process_lock import ProcessLock
with ProcessLock(Path(sys.argv[1]), "these checkpoints").hold("training"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / ".training.lock"


@pytest.fixture
def lock(path: Path) -> ProcessLock:
    return ProcessLock(path, "these checkpoints")


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which holds the lock for a training."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_the_second_training_is_refused_and_told_which_process_trains(
    lock: ProcessLock, holder: subprocess.Popen[str]
) -> None:
    match = rf"another training writes these checkpoints \(process {holder.pid}\)"
    with pytest.raises(LockedError, match=match) as refused, lock.hold("training", wait_s=1000):
        pass
    assert refused.value.status == 409


def test_other_work_waits_for_the_holder(lock: ProcessLock, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    with lock.hold("learning", wait_s=60):
        assert lock.holder()["work"] == "learning"


def test_a_killed_process_holds_nothing(lock: ProcessLock, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert lock.holder() == {}
    with lock.hold("training"):
        pass


def test_two_trainings_of_one_process_exclude_each_other_too(lock: ProcessLock, path: Path) -> None:
    second = ProcessLock(path, "these checkpoints")
    with lock.hold("training"), pytest.raises(LockedError), second.hold("training"):
        pass


def test_the_work_of_the_holder_decides_whether_a_request_is_refused(lock: ProcessLock) -> None:
    with lock.hold("learning"):
        lock.refuse_if_held("training")
        with pytest.raises(LockedError, match="another learning writes these checkpoints"):
            lock.refuse_if_held("learning")


def test_a_free_lock_has_no_holder_and_makes_no_file(lock: ProcessLock, path: Path) -> None:
    assert lock.holder() == {}
    assert not path.exists()


def test_work_that_fails_gives_the_lock_back(lock: ProcessLock) -> None:
    with pytest.raises(ValueError, match="failed"), lock.hold("training"):
        raise ValueError("failed")
    assert lock.holder() == {}


def test_a_damaged_note_in_the_file_holds_nobody_up(lock: ProcessLock, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff[")
    with lock.hold("training"):
        assert lock.holder()["work"] == "training"
