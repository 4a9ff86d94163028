"""Seconds of 3-D clicks on a sample study, cold and warm, over HTTP.

    python -m benchmarks.click_seconds [STUDY] [KEY=VALUE ...]

A server with these settings and an empty cache gets one click after another on a study of
sample_data/phantoms. Run it on a quiet machine.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from zeus_app.labels.files import read_label
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.server.lifecycle.server_process import ServerProcess

PHANTOMS = CHECKOUT / "sample_data" / "phantoms"
LABEL, VALUE = "lesion", 1
STUDY, WARM_UP = "phantom_16", "phantom_19"
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


def steps_of(study: str) -> dict[str, Sequence[Voxel]]:
    """What a user does: name of the step -> all clicks after it."""
    middle, beside, first = voxels_of(study)
    return {
        "cold: first click": [middle],
        "the same request, everything encoded": [middle],
        "the same request again": [middle],
        "second click, on the label's first slice": [middle, first],
        "third click, on the slice of the first": [middle, first, beside],
        "the third click taken back": [middle, first],
    }


def click(server: ServerProcess, study: str, voxels: Sequence[Voxel]) -> tuple[float, str]:
    """Send all clicks, as 3D Slicer does. Returns the seconds, and the slices that it reached."""
    params = {"foreground": voxels, "background": [], "label": LABEL, "mode": "replace"}
    began = time.perf_counter()
    _, answered = server.client.infer("clicks_3d", study, params)
    seconds = time.perf_counter() - began
    first, last = answered["reached"][LABEL]
    return seconds, f"{first} to {last}{'' if answered['complete'] else ', not complete'}"


def await_encoded(server: ServerProcess) -> None:
    """Wait until the server encodes nothing in the background."""
    deadline = time.monotonic() + LIMIT_S
    while server.get("/zeus/progress")["preparing"]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the server still encodes after {LIMIT_S} s")
        time.sleep(POLL_S)


def measure(study: str, settings: Mapping[str, str]) -> Iterator[tuple[str, float, str]]:
    """Each step with its seconds and the slices that it reached."""
    with tempfile.TemporaryDirectory() as folder:
        conf = {"target": "phantom", "state": f"{folder}/state", **settings}
        with ServerProcess(PHANTOMS / "studies", conf, log=Path(folder) / "server.log") as server:
            click(server, WARM_UP, voxels_of(WARM_UP)[:1])  # the first request loads the networks
            await_encoded(server)
            for name, voxels in steps_of(study).items():
                yield name, *click(server, study, voxels)
                await_encoded(server)


def main() -> int:
    """Measure, and print one line for each step."""
    console = Console(highlight=False)
    settings = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    studies = [word for word in sys.argv[1:] if "=" not in word]
    for name, seconds, slices in measure(studies[0] if studies else STUDY, settings):
        console.print(f"{name:42} {seconds:6.2f} s  slices {slices}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
