"""Memory of a server and of its processes on a mixed day, on the sample studies.

    python -m benchmarks.memory_of_a_day

One server with learning after each label gets clicks, labels, a training with clicks beside it, a
batch inference, a scoring, and 100 requests at once. The kernel's resident memory (VmRSS) and its
peak (VmHWM) of the server and of each child are read five times a second. Results:
benchmarks/results/memory_of_a_day.json and the table in docs/speed.md.
"""

import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import requests
from rich.console import Console

from benchmarks.pages import RESULTS, replace_between_marks, table
from benchmarks.speed.memory import process_of
from zeus_app.labels.files import read_label
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.server.lifecycle.server_process import ServerProcess
from zeus_app.storage.atomic import write_text_atomically

MOST_MIB = 3 * 1024
PHANTOMS = CHECKOUT / "sample_data" / "phantoms"
CLICKED, CLICKS, LABELLED = 6, 5, 6
TRAIN_S = 90
AT_ONCE = 100
EVERY_S, POLL_S = 0.2, 1.0
PATIENCE_S = 1800
EXPECTED = (200, 503)  # 503: more inferences or clicks wait than the server's `waiting` allows
KINDS: Mapping[str, str] = {"learning_worker": "learning", "task_worker": "task"}
"""Module that a child runs -> its name in the table. A task is a training, batch or scoring."""


@dataclass
class Peaks:
    """The memory of one phase of the day, in MiB.

    Attributes:
        server_rss: the server's resident memory at the end of the phase.
        server_peak: the server's peak since its start.
        children: child -> the peak since its start.
    """

    server_rss: float = 0.0
    server_peak: float = 0.0
    children: dict[str, float] = field(default_factory=dict)


def memory_mib(pid: int, proc: Path = Path("/proc")) -> tuple[float, float] | None:
    """Resident memory of a process and its peak, in MiB; None if the process has ended."""
    try:
        lines = (proc / str(pid) / "status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Vm")}
    return (kib["VmRSS"] / 1024, kib["VmHWM"] / 1024) if "VmRSS" in kib else None


def watch(server: psutil.Process, peaks: Peaks) -> None:
    """Read the memory of the server and of its children once."""
    if (own := memory_mib(server.pid)) is not None:
        peaks.server_rss, peaks.server_peak = own
    for child in server.children(recursive=True):
        read = memory_mib(child.pid)
        if read is None:
            continue
        try:
            words = " ".join(child.cmdline())
        except psutil.NoSuchProcess:
            continue
        kind = next((name for module, name in KINDS.items() if module in words), "other")
        peaks.children[kind] = max(peaks.children.get(kind, 0.0), read[1])


@contextmanager
def watching(server: psutil.Process) -> Iterator[Peaks]:
    """Read the memory again and again inside this context."""
    peaks, ended = Peaks(), threading.Event()

    def look() -> None:
        while not ended.wait(EVERY_S):
            watch(server, peaks)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()
        watch(server, peaks)


class Day:
    """What clients do on a day.

    Args:
        server: the server.
        studies: ids of its studies.
    """

    def __init__(self, server: ServerProcess, studies: Sequence[str]) -> None:
        self._server, self._studies = server, studies
        self.statuses: Counter[int] = Counter()

    def clicks(self) -> None:
        """Open studies, and click into them."""
        for study in self._studies[:CLICKED]:
            self._image(study)
            for number in range(CLICKS):
                self._click(study, number)
        self._until(lambda: not self._server.get("/zeus/progress")["preparing"])

    def labels(self) -> None:
        """Submit labels, and let the server learn from each."""
        for study in self._studies[:LABELLED]:
            self._server.client.save_label(study, str(label_of(study)), params={})
        self._until(lambda: not self._learns())

    def training(self) -> None:
        """Train, and click meanwhile."""
        self._server.client.train_start("zeus", {"time_budget_s": TRAIN_S, "epochs": 10_000})
        number = 0
        while self._runs("/train/"):
            self._click(self._studies[number % CLICKED], number)
            number += 1
            time.sleep(POLL_S)

    def batch(self) -> None:
        """Segment all studies without a label."""
        address = f"{self._server.url}/batch/infer/zeus?images=unlabeled"
        requests.post(address, json={}, timeout=60).raise_for_status()
        self._until(lambda: not self._runs("/batch/infer"))

    def scoring(self) -> None:
        """Score the predictions."""
        requests.post(f"{self._server.url}/scoring/dice", json={}, timeout=60).raise_for_status()
        self._until(lambda: not self._runs("/scoring/"))

    def at_once(self) -> None:
        """Send 100 requests at once: downloads, clicks, inferences and questions."""
        acts: list[Callable[[int], int]] = [
            lambda n: self._image(self._studies[n % len(self._studies)]),
            lambda n: self._click(self._studies[n % len(self._studies)], n),
            lambda n: self._infer(self._studies[n % len(self._studies)]),
            lambda n: self._status("GET", "/info/"),
        ]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            answers = threads.map(lambda n: acts[n % len(acts)](n // len(acts)), range(AT_ONCE))
            self.statuses.update(answers)

    def _image(self, study: str) -> int:
        return self._status("GET", f"/datastore/image?image={study}")

    def _click(self, study: str, number: int) -> int:
        params = {"foreground": [voxel_of(study, number)], "label": "lesion", "user": "bench"}
        address = f"/infer/clicks?image={study}&output=image"
        return self._status("POST", address, data={"params": json.dumps(params)})

    def _infer(self, study: str) -> int:
        return self._status("POST", f"/infer/zeus?image={study}&output=image")

    def _status(self, method: str, address: str, **more: Any) -> int:
        answer = requests.request(
            method, f"{self._server.url}{address}", timeout=PATIENCE_S, **more
        )
        if answer.status_code not in EXPECTED:
            raise RuntimeError(f"{address} answered {answer.status_code}: {answer.text[:500]}")
        return int(answer.status_code)

    def _learns(self) -> bool:
        learning = self._server.get("/zeus/learning")
        return bool(learning["queue"] or learning["study"])

    def _runs(self, address: str) -> bool:
        task = self._server.get(address)
        if task["status"] == "ERROR":
            raise RuntimeError(f"{address}: {task['details']}")
        return task["status"] in ("SUBMITTED", "RUNNING")

    @staticmethod
    def _until(ended: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not ended():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ended within {PATIENCE_S} s")
            time.sleep(POLL_S)


def label_of(study: str) -> Path:
    """The true label of a sample study."""
    return PHANTOMS / "labels" / f"{study}.nii.gz"


def voxel_of(study: str, number: int) -> list[int]:
    """A voxel of the label; another one for each number."""
    voxels = np.argwhere(read_label(label_of(study)).array > 0)
    return [int(index) for index in random.Random(number).choice(voxels)]


def measure(console: Console) -> dict[str, Any]:
    """Phase -> its peaks; and the statuses of the requests at once."""
    studies = [path.name for path in sorted((PHANTOMS / "studies").iterdir())]
    phases: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        conf = {"target": "phantom", "state": f"{folder}/state", "learn": "on"}
        with ServerProcess(PHANTOMS / "studies", conf, log=Path(folder) / "server.log") as server:
            process, day = process_of(server), Day(server, studies)
            steps: dict[str, Callable[[], None]] = {
                "started": lambda: time.sleep(POLL_S),
                "clicks": day.clicks,
                "labels, learning after each": day.labels,
                "training, clicks meanwhile": day.training,
                "batch inference": day.batch,
                "scoring": day.scoring,
                f"{AT_ONCE} requests at once": day.at_once,
            }
            for name, act in steps.items():
                began = time.monotonic()
                with watching(process) as peaks:
                    act()
                phases[name] = {**vars(peaks), "seconds": round(time.monotonic() - began, 1)}
                console.print(f"{name}: {phases[name]}")
    statuses = {str(status): count for status, count in sorted(day.statuses.items())}
    return {"limit_mib": MOST_MIB, "phases": phases, "statuses": statuses}


def rows(results: Mapping[str, Any]) -> list[list[str]]:
    """One row for each phase, in MiB."""
    return [
        [
            name,
            f"{phase['server_rss']:.0f}",
            f"{phase['server_peak']:.0f}",
            ", ".join(f"{kind} {mib:.0f}" for kind, mib in sorted(phase["children"].items()))
            or "none",
        ]
        for name, phase in results["phases"].items()
    ]


def above_limit(results: Mapping[str, Any]) -> list[str]:
    """The processes whose peak reached the limit, each with its phase."""
    limit = results["limit_mib"]
    return [
        f"{process} in phase {name!r}: {mib:.0f} MiB"
        for name, phase in results["phases"].items()
        for process, mib in {"server": phase["server_peak"], **phase["children"]}.items()
        if mib >= limit
    ]


def main() -> int:
    """Measure, and write results and page. Returns 1 if a process reached the limit."""
    console = Console(highlight=False)
    results = measure(console)
    write_text_atomically(RESULTS / "memory_of_a_day.json", json.dumps(results, indent=1) + "\n")
    head = ["until the end of", "server, MiB", "server's peak, MiB", "peak of each child, MiB"]
    lines = table(head, rows(results))
    replace_between_marks(CHECKOUT / "docs" / "speed.md", "memory", "\n".join(lines))
    console.print("\n".join(lines))
    too_large = above_limit(results)
    for line in too_large:
        console.print(f"above {MOST_MIB} MiB: {line}", style="red")
    return 1 if too_large else 0


if __name__ == "__main__":
    sys.exit(main())
