"""The figures of the speed benchmark, their aims, and the file of the results."""

import hashlib
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.storage.atomic import write_text_atomically

SOURCES = ("zeus_app", "infer", "trainers", "apps", "benchmarks/speed")


@dataclass(frozen=True)
class Aim:
    """A figure that has an aim.

    Attributes:
        what: the measured quantity.
        bound: the value to reach.
        at_least: whether higher values are better.
        lever: the next step if the aim is missed.
    """

    what: str
    bound: float
    at_least: bool
    lever: str

    def reached(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value >= self.bound if self.at_least else value <= self.bound

    def times(self, value: float) -> float:
        """The value relative to its aim. From 1 on, the aim is reached."""
        return value / self.bound if self.at_least else self.bound / value


AIMS: Mapping[str, Aim] = {
    "encoder_speedup": Aim(
        "float32 eager one-slice encode / ours per slice", 4, True,
        "the stem in bfloat16, which costs accuracy; then the matrix products of the trunk in int8,"
        " if the masks agree",
    ),
    "encoder_over_floor": Aim(
        "ours per slice / its FLOP at the machine's matrix-product rate in the same precision",
        2, False,
        "the stem, which stays in float32 for accuracy; then the layers other than matrix products",
    ),
    "click_over_decoder": Aim(
        "click over HTTP, embeddings cached, 4 sequences / 4 bare decoder forwards", 1.5, False,
        "the largest rows below other than the decoder",
    ),
    "click_speedup": Aim(
        "the click when its slices are encoded again in float32 eager / ours", 15, True,
        "the same as for click_over_decoder",
    ),
    "first_click_over_encode": Aim(
        "first click on an opened study / encoding just its slices", 1.5, False,
        "cutting the clicked slice's pictures before those of the whole study",
    ),
    "study_over_encode": Aim(
        "whole study without embeddings, texts cached / encoding its slices alone", 1.3, False,
        "decode and unite while the next batch is encoded; fewer copies on the way to the file",
    ),
    "epoch_speedup": Aim(
        "epoch that encodes each time in float32 eager / epoch from the cache", 8, True,
        "the decoder: it is nearly all of an epoch from the cache",
    ),
    "step_over_decoder": Aim(
        "training step, text mode / bare decoder forward and backward, same batch", 1.25, False,
        "the largest row below other than matrix products",
    ),
    "info_p95_ms_busy": Aim(
        "GET /info while an inference and a training run, 95th percentile, ms", 100, False,
        "fewer threads for work that holds the interpreter lock",
    ),
    "server_peak_mib": Aim(
        "server's peak resident memory: a dense study, then ten with few slices, MiB",
        3500, False,
        "smaller batches, or a float16 volume, in the stage of the largest row below",
    ),
    "server_growth": Aim(
        "peak over the last five of those ten / over the first five", 1.02, False,
        "objects that stay in memory between requests",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One result.

    Attributes:
        key: a key of `AIMS`, or the name of a figure without an aim.
        value: None if it was not measured.
        parts: the measured values behind it. Their names carry the unit.
        note: the reason why it was not measured, or a remark.
        profile: (stage, milliseconds), the largest first.
    """

    key: str
    value: float | None
    parts: Mapping[str, float | str | Sequence[float]] = field(default_factory=dict)
    note: str = ""
    profile: Sequence[tuple[str, float]] = ()


class NotMeasured(Exception):
    """A figure cannot be measured; the message says why."""


def sources_digest() -> str:
    """A hash of the code that the figures depend on."""
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def machine() -> dict[str, str | int]:
    """Processor, threads and versions of libraries."""
    import torch

    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "openvino", "monailabel")},
    }


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


class Results:
    """The JSON of all results, written after every part."""

    def __init__(self, path: Path) -> None:
        """Read the results of an earlier run, if the file is there and readable."""
        self._path = path
        self._sources = sources_digest()
        try:
            self.content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.content = {}

    def begin(self) -> None:
        """Remove the results of a finished run. An unfinished run continues."""
        if self.content.get("finished", True):
            self.content = {}
        self.content["finished"] = False

    def forget(self, parts: Sequence[str]) -> None:
        """Remove the results of some parts."""
        for part in parts:
            self.content.get("parts", {}).pop(part, None)

    def has(self, part: str) -> bool:
        """Whether a part was measured with the present code."""
        return bool(self.content.get("parts", {}).get(part, {}).get("sources") == self._sources)

    def put(self, part: str, figures: Sequence[Figure], *, seconds: float) -> None:
        """Replace the results of a part, and write the file."""
        self.content["machine"] = machine()
        self.content.setdefault("parts", {})[part] = {
            "sources": self._sources,
            "measured": time.strftime("%Y-%m-%d %H:%M"),
            "seconds": round(seconds, 1),
            "figures": [asdict(figure) for figure in figures],
        }
        self.write()

    def finish(self) -> None:
        """Mark the run as finished."""
        self.content["finished"] = True
        self.write()

    def write(self) -> None:
        """Write the file atomically."""
        write_text_atomically(self._path, json.dumps(self.content, indent=1) + "\n")

    @property
    def figures(self) -> list[Figure]:
        """All figures, of all parts."""
        parts = self.content.get("parts", {}).values()
        return [Figure(**figure) for part in parts for figure in part["figures"]]
