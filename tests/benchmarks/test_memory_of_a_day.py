"""What is read of a process, and which process is too large; no server is started."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.memory_of_a_day import Peaks, above_limit, memory_mib, rows, watch, watching
from tests.waiting import wait_until

RESULTS = {
    "limit_mib": 3072,
    "phases": {
        "started": {"server_rss": 1000.4, "server_peak": 1200.0, "children": {}},
        "training": {
            "server_rss": 1500.0,
            "server_peak": 3072.0,
            "children": {"task": 2000.0, "learning": 4000.0},
        },
    },
}


def test_resident_memory_and_its_peak_are_the_kernel_s(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    text = "Name:\tpython\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\nThreads:\t3\n"
    (tmp_path / "7" / "status").write_text(text)
    assert memory_mib(7, tmp_path) == (2.0, 4.0)


def test_a_process_that_has_ended_has_no_memory(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "status").write_text("Name:\tpython\nState:\tZ (zombie)\n")
    assert memory_mib(7, tmp_path) is None
    assert memory_mib(8, tmp_path) is None


@pytest.mark.parametrize(
    ("module", "kind"),
    [("zeus_app.server.jobs.task_worker", "task"),
     ("zeus_app.server.jobs.learning_worker", "learning"), ("something", "other")],
)  # fmt: skip
def test_a_child_is_known_by_the_module_that_it_runs(
    module: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [sys.executable, "-c", "input()", module]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as child:
        # Servers of other tests may run beside it.
        own = [psutil.Process(child.pid)]
        monkeypatch.setattr(psutil.Process, "children", lambda _, *, recursive: own)
        peaks = Peaks()
        watch(psutil.Process(), peaks)
        assert child.stdin is not None
        child.stdin.close()
    assert peaks.children.keys() == {kind}
    assert 0 < peaks.children[kind] < peaks.server_peak


def test_the_memory_is_read_until_the_end_of_a_phase() -> None:
    with watching(psutil.Process()) as peaks:
        wait_until(lambda: peaks.server_peak > 0)
        before = peaks.server_peak
        block = bytearray(64 * 1024 * 1024)
        block[::4096] = b"1" * len(block[::4096])
    assert peaks.server_peak >= peaks.server_rss >= 64
    assert peaks.server_peak >= before


def test_the_table_has_one_row_for_each_phase() -> None:
    assert rows(RESULTS) == [
        ["started", "1000", "1200", "none"],
        ["training", "1500", "3072", "learning 4000, task 2000"],
    ]


def test_every_process_at_or_above_the_limit_is_named() -> None:
    assert above_limit(RESULTS) == [
        "server in phase 'training': 3072 MiB",
        "learning in phase 'training': 4000 MiB",
    ]
