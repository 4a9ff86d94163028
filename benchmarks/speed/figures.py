"""What is measured, what it is to reach, and where results lie between the parts of a run."""

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
class Reach:
    """A figure that has an aim.

    Attributes:
        what: is measured.
        bound: to reach.
        at_least: whether more is better.
        lever: what would be done next if it is missed.
    """

    what: str
    bound: float
    at_least: bool
    lever: str

    def reached(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value >= self.bound if self.at_least else value <= self.bound

    def times(self, value: float) -> float:
        """How many times the aim: 1 and more is reached, whichever way is better."""
        return value / self.bound if self.at_least else self.bound / value


REACHES: Mapping[str, Reach] = {
    "encoder_speedup": Reach(
        "float32 eager one-slice encode / ours per slice", 4, True,
        "the stem in bfloat16, at the price of accuracy; then the trunk's products, which run at"
        " the machine's rate already, in int8, if its masks agree",
    ),
    "encoder_over_floor": Reach(
        "ours per slice / its FLOP at the machine's matrix-product rate in the same precision",
        2, False,
        "the stem, which stays in float32 for its accuracy; then the layers that are no products",
    ),
    "click_over_decoder": Reach(
        "click over HTTP, embeddings kept, 4 sequences / 4 bare decoder forwards", 1.5, False,
        "the largest rows below that are no decoder",
    ),
    "click_speedup": Reach(
        "the click when its slices are encoded again in float32 eager / ours", 15, True,
        "the same as for click_over_decoder",
    ),
    "first_click_over_encode": Reach(
        "first click on an opened study / encoding just its slices", 1.5, False,
        "cutting the clicked slice's pictures before those of the whole study",
    ),
    "study_over_encode": Reach(
        "whole study without embeddings, texts kept / encoding its slices alone", 1.3, False,
        "decode and unite while the next batch is encoded; fewer copies on the way to the file",
    ),
    "epoch_speedup": Reach(
        "epoch that encodes each time in float32 eager / epoch from the cache", 8, True,
        "the decoder: it is nearly all of an epoch from the cache",
    ),
    "step_over_decoder": Reach(
        "training step, text mode / bare decoder forward and backward, same batch", 1.25, False,
        "the largest row below that is no product of matrices",
    ),
    "info_p95_ms_busy": Reach(
        "GET /info while an inference and a training run, 95th percentile, ms", 100, False,
        "fewer threads for what holds the interpreter's lock",
    ),
    "server_peak_mib": Reach(
        "server's peak resident memory: a dense study, then ten with few slices, MiB",
        3500, False,
        "smaller batches, or a float16 volume, where the largest of the rows below is",
    ),
    "server_growth": Reach(
        "peak over the last five of those ten / over the first five", 1.02, False,
        "what is kept between requests",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One result.

    Attributes:
        key: a key of `REACHES`, or a name of something measured beside them.
        value: None when it was not measured.
        parts: what it was made of; names carry the unit.
        note: why it was not measured, or what one must know of it.
        profile: (stage, milliseconds), the largest first: where the time went.
    """

    key: str
    value: float | None
    parts: Mapping[str, float | str | Sequence[float]] = field(default_factory=dict)
    note: str = ""
    profile: Sequence[tuple[str, float]] = ()


class NotMeasured(Exception):
    """Something that a figure needs is not there."""


def sources_digest() -> str:
    """Names the code that a figure was measured with."""
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def machine() -> dict[str, str | int]:
    """What the figures depend on besides the code."""
    import torch

    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "openvino", "monailabel")},
    }


def _cpu_name() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


class Results:
    """The JSON, written after every part."""

    def __init__(self, path: Path) -> None:
        """Take up what is there; a run that was finished, or a broken file, counts as nothing."""
        self._path = path
        self._sources = sources_digest()
        try:
            self.found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.found = {}

    def begin(self) -> None:
        """Start anew unless there is an unfinished run."""
        if self.found.get("finished", True):
            self.found = {}
        self.found["finished"] = False

    def forget(self, parts: Sequence[str]) -> None:
        """These are to be measured again."""
        for part in parts:
            self.found.get("parts", {}).pop(part, None)

    def has(self, part: str) -> bool:
        """Whether a part was measured by this very code."""
        return bool(self.found.get("parts", {}).get(part, {}).get("sources") == self._sources)

    def put(self, part: str, figures: Sequence[Figure], *, seconds: float) -> None:
        """Keep what a part found, in place of what it found before."""
        self.found["machine"] = machine()
        self.found.setdefault("parts", {})[part] = {
            "sources": self._sources,
            "measured": time.strftime("%Y-%m-%d %H:%M"),
            "seconds": round(seconds, 1),
            "figures": [asdict(figure) for figure in figures],
        }
        self.write()

    def finish(self) -> None:
        """The next run of all parts starts anew."""
        self.found["finished"] = True
        self.write()

    def write(self) -> None:
        """Write what is there, whole or not at all."""
        write_text_atomically(self._path, json.dumps(self.found, indent=1) + "\n")

    @property
    def figures(self) -> list[Figure]:
        """All figures, of all parts."""
        parts = self.found.get("parts", {}).values()
        return [Figure(**figure) for part in parts for figure in part["figures"]]
