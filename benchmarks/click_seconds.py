"""Seconds of 3-D clicks on sample studies, cold and warm, over HTTP.

    python -m benchmarks.click_seconds [KEY=VALUE ...]

A server with these settings and an empty cache opens one study of sample_data/phantoms after
another. The steps of `CLICKS` run on each study; the table shows the median of the studies, and of
the slices that the answer reached. Run it on a quiet machine.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zeus_app.labels.files import read_label
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.server.lifecycle.server_process import ServerProcess

PHANTOMS = CHECKOUT / "sample_data" / "phantoms"
LABEL, VALUE = "lesion", 1
STUDIES = ("phantom_16", "phantom_17", "phantom_18")
WARM_UP = "phantom_19"
POLL_S = 0.5
LIMIT_S = 600
Voxel = tuple[int, int, int]


def voxels_of(study: str) -> list[Voxel]:
    """Two voxels on the middle slice of the label, and one on its first slice."""
    label = read_label(PHANTOMS / "labels" / f"{study}.nii.gz").array == VALUE
    slices = np.flatnonzero(label.any(axis=(0, 1)))
    middle = np.argwhere(label[..., slices[len(slices) // 2]])
    first = np.argwhere(label[..., slices[0]])
    chosen = [(middle[len(middle) // 2], slices[len(slices) // 2]),
              (middle[len(middle) // 4], slices[len(slices) // 2]),
              (first[len(first) // 2], slices[0])]  # fmt: skip
    return [(int(i), int(j), int(s)) for (i, j), s in chosen]


def seconds_of_clicks(server: ServerProcess, study: str) -> dict[str, tuple[float, int]]:
    """Step -> seconds of the answer, and the number of slices that its mask reaches."""
    middle, beside, first = voxels_of(study)
    steps: dict[str, Sequence[Voxel]] = {
        "cold: first click": [middle],
        "the same request, everything encoded": [middle],
        "the same request again": [middle],
        "second click, on the label's first slice": [middle, first],
        "third click, on the slice of the first": [middle, first, beside],
        "the third click taken back": [middle, first],
    }
    results = {}
    for name, voxels in steps.items():
        results[name] = click(server, study, voxels)
        await_encoded(server)
    return results


def click(server: ServerProcess, study: str, voxels: Sequence[Voxel]) -> tuple[float, int]:
    """Send all clicks, as 3D Slicer does."""
    params = {"foreground": voxels, "background": [], "label": LABEL}
    began = time.perf_counter()
    _, answered = server.client.infer("clicks_3d", study, params)
    seconds = time.perf_counter() - began
    first, last = answered.get("reached", {}).get(LABEL, (0, -1))
    return seconds, last - first + 1


def await_encoded(server: ServerProcess) -> None:
    """Wait until the server encodes nothing in the background."""
    deadline = time.monotonic() + LIMIT_S
    while server.get("/zeus/progress")["preparing"]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the server still encodes after {LIMIT_S} s")
        time.sleep(POLL_S)


def measure(settings: Mapping[str, str]) -> dict[str, list[tuple[float, int]]]:
    """Step -> seconds and slices of each study."""
    with tempfile.TemporaryDirectory() as folder:
        conf = {"target": "phantom", "state": f"{folder}/state", **settings}
        with ServerProcess(PHANTOMS / "studies", conf, log=Path(folder) / "server.log") as server:
            click(server, WARM_UP, voxels_of(WARM_UP)[:1])  # the first request loads the networks
            await_encoded(server)
            by_study = [seconds_of_clicks(server, study) for study in STUDIES]
    return {name: [steps[name] for steps in by_study] for name in by_study[0]}


def main() -> int:
    """Measure, and print one line for each step."""
    settings: dict[str, Any] = dict(word.split("=", 1) for word in sys.argv[1:])
    for name, measured in measure(settings).items():
        seconds, slices = zip(*measured, strict=True)
        print(f"{name:45} {statistics.median(seconds):6.2f} s  slices: {json.dumps(slices)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
