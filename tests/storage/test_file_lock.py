"""A lock between threads and between processes."""

import multiprocessing
import threading
from pathlib import Path

from zeus_app.storage.file_lock import file_lock, free_lock, shared_lock

ADDITIONS = 50


def add(folder: Path) -> None:
    counter = folder / "counter"
    for _ in range(ADDITIONS):
        with file_lock(folder / "lock"):
            counter.write_text(str(int(counter.read_text()) + 1))


def test_no_addition_of_threads_or_processes_is_lost(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    processes = multiprocessing.get_context("fork")
    workers: list[threading.Thread | multiprocessing.process.BaseProcess] = [
        *(processes.Process(target=add, args=(tmp_path,)) for _ in range(2)),
        *(threading.Thread(target=add, args=(tmp_path,)) for _ in range(2)),
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (tmp_path / "counter").read_text() == str(4 * ADDITIONS)


def test_the_lock_is_free_after_an_error_in_the_body(tmp_path: Path) -> None:
    try:
        with file_lock(tmp_path / "new" / "lock"):
            raise ValueError
    except ValueError:
        pass
    with file_lock(tmp_path / "new" / "lock"):
        assert (tmp_path / "new" / "lock").exists()


def test_a_shared_lock_keeps_others_from_holding_it_alone(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with shared_lock(lock), shared_lock(lock), free_lock(lock) as is_held:
        assert not is_held
    with free_lock(lock) as is_held:
        assert is_held
