"""Studies that are worked on are read once and kept, up to a size."""

import threading

import numpy as np

from zeus_app.studies.stack_cache import SliceStackCache
from zeus_app.targets import load_target
from zeus_app.types import Study, Volume

MIB = 1 << 20
STACK_BYTES = 2 * 3 * 256 * 256 * 4  # both sequences of the phantoms, three slices


def study(name: str) -> Study:
    voxels = np.zeros((16, 16, 3), np.float32)
    voxels[4:12, 4:12] = 100
    voxels[6, 6] = 200
    return Study(name, {"T2": Volume(voxels, np.eye(4))})


def test_those_who_want_a_study_while_it_is_read_wait_for_it() -> None:
    studies = SliceStackCache(load_target("phantom"), limit_bytes=MIB * 64)
    reading, go_on, reads = threading.Event(), threading.Event(), []

    def read() -> Study:
        reads.append("a")
        reading.set()
        assert go_on.wait(10)
        return study("a")

    stacks: list[object] = []
    threads = [
        threading.Thread(target=lambda: stacks.append(studies.open("a", read))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    assert reading.wait(10)
    other = studies.open("b", lambda: study("b"))  # which need not wait for it
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert reads == ["a"]
    assert len(stacks) == 3
    assert all(one is stacks[0] for one in stacks)
    assert other is not stacks[0]


def test_the_study_used_longest_ago_is_closed_first() -> None:
    studies = SliceStackCache(load_target("phantom"), limit_bytes=2 * STACK_BYTES)
    reads: list[str] = []

    def open_study(name: str) -> None:
        studies.open(name, lambda: reads.append(name) or study(name))

    for name in ("a", "b", "a", "c", "a", "b"):
        open_study(name)
    assert reads == ["a", "b", "c", "b"]
