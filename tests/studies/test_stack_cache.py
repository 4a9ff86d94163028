"""Opened studies stay in memory, up to a size."""

import threading
from functools import partial

import numpy as np

from zeus_app.studies.opened import OpenedStudy
from zeus_app.studies.stack_cache import SliceStackCache
from zeus_app.targets import load_target
from zeus_app.types import MIB, Study, Volume

STACK_BYTES = 2 * 3 * 256 * 256 * 4  # both sequences of the phantoms, three slices


def study(name: str) -> Study:
    voxels = np.zeros((16, 16, 3), np.float32)
    voxels[4:12, 4:12] = 100
    voxels[6, 6] = 200
    return Study(name, {"T2": Volume(voxels, np.eye(4))})


def test_threads_that_ask_for_a_study_while_it_is_read_wait_for_that_one_reading() -> None:
    cache = SliceStackCache(load_target("phantom"), limit_bytes=MIB * 64)
    reading, go_on, reads = threading.Event(), threading.Event(), []

    def read() -> Study:
        reads.append("a")
        reading.set()
        assert go_on.wait(10)
        return study("a")

    opened: list[OpenedStudy] = []
    threads = [
        threading.Thread(target=lambda: opened.append(cache.open("a", read))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    assert reading.wait(10)
    other = cache.open("b", lambda: study("b"))  # which is not blocked by the reading of "a"
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert reads == ["a"]
    assert len(opened) == 3
    assert all(study is opened[0] for study in opened)
    assert other is not opened[0]


def test_the_least_recently_used_study_is_evicted_first() -> None:
    cache = SliceStackCache(load_target("phantom"), limit_bytes=2 * STACK_BYTES)
    reads: list[str] = []

    def read(name: str) -> Study:
        reads.append(name)
        return study(name)

    for name in ("a", "b", "a", "c", "a", "b"):
        cache.open(name, partial(read, name))
    assert reads == ["a", "b", "c", "b"]


def test_a_choice_of_sequences_reads_no_file_again_and_is_cached_too() -> None:
    cache = SliceStackCache(load_target("phantom"), limit_bytes=2 * STACK_BYTES)
    reads: list[str] = []

    def read() -> Study:
        reads.append("a")
        return study("a")

    whole = cache.open("a", read)
    chosen = cache.open_sequences("a", read, ("T2",))
    assert cache.open_sequences("a", read, ("T2",)) is chosen
    assert cache.open("a", read) is whole
    assert reads == ["a"]
