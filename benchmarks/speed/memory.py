"""Memory of the server: one dense study, then ten studies with few slices of tissue."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

from benchmarks.speed.bench import Bench
from benchmarks.speed.figures import Figure
from benchmarks.speed.synthetic_study import make_study
from zeus_app.bench.memory import peak_mib
from zeus_app.server.lifecycle.server_process import ServerProcess
from zeus_app.types import MIB

EVERY_S = 0.1
FEW_SLICES = 3
FEW_SHAPE = (240, 240, 24)


class Sampler:
    """Samples the resident memory of a process and of its children ten times a second."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.own_mib = self.children_mib = 0.0
        self._ended = threading.Event()

    @contextmanager
    def looking(self) -> Iterator["Sampler"]:
        """Sample inside this context. The peaks are those of this time."""
        self.own_mib = self.children_mib = 0.0
        self._ended.clear()
        thread = threading.Thread(target=self._look, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()

    def _look(self) -> None:
        while True:
            try:
                self.own_mib = max(self.own_mib, self._process.memory_info().rss / MIB)
                below = sum(_resident(child) for child in self._process.children(recursive=True))
                self.children_mib = max(self.children_mib, below / MIB)
            except psutil.NoSuchProcess:
                return
            if self._ended.wait(EVERY_S):
                return


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def process_of(server: ServerProcess) -> psutil.Process:
    """The process of the server, a child of this process."""
    port = server.url.rsplit(":", 1)[1]
    return next(child for child in psutil.Process().children() if port in child.cmdline())


def growth(peaks: Sequence[float]) -> float:
    """Highest of the later half over highest of the earlier half."""
    half = len(peaks) // 2
    return max(peaks[-half:]) / max(peaks[:half])


def measure(bench: Bench) -> list[Figure]:
    """server_peak_mib and server_growth."""
    sizes = bench.sizes
    dense = make_study(bench.folder, "dense", shape=sizes.dense, slices=sizes.dense[2], seed=100)
    few = [
        make_study(bench.folder, f"few{n}", shape=FEW_SHAPE, slices=FEW_SLICES, seed=101 + n)
        for n in range(sizes.few)
    ]
    with bench.new_server("memory") as server:
        process = process_of(server)
        sampler = Sampler(process)
        peaks: list[float] = []
        took: list[float] = []
        children = 0.0
        for study in (dense, *few):
            began = time.perf_counter()
            with sampler.looking():
                server.infer(study.name)
                if study is dense:  # from here on, the networks for clicks stay in memory
                    server.client.infer("clicks", study.name, {"foreground": [study.click(0)]})
            took.append(time.perf_counter() - began)
            peaks.append(sampler.own_mib)
            children = max(children, sampler.children_mib)
        kernel = peak_mib(process.pid)
    later = peaks[1:]
    rows = {"dense study": peaks[0], **{f"few slices {n + 1}": v for n, v in enumerate(later)}}
    return [
        Figure(
            "server_peak_mib",
            max([*peaks, kernel or 0.0]),
            {
                **{f"{name}, MiB": value for name, value in rows.items()},
                "the kernel's own peak, MiB": kernel or "unknown",
                "child processes at most, MiB": children,
                "dense study, s": took[0],
            },
            note="the server process alone; texts were written for every study, one was clicked",
        ),
        Figure("server_growth", growth(later), {"MiB": later}),
    ]
