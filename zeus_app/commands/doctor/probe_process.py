"""Import the packages that Zeus needs in processes of their own, which may end in any way."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("probe.py")
LONGEST_S = 300.0
"""Seconds that all imports may take. On a slow disk the first import of PyTorch takes a minute."""
MODULES = (
    "numpy", "scipy", "torch", "torchvision", "pydantic", "yaml", "fastapi", "uvicorn", "monai",
    "monailabel", "nibabel", "SimpleITK", "pydicom", "highdicom", "diskcache", "transformers",
    "safetensors", "gguf", "segment_anything", "openvino", "onnxruntime", "matplotlib", "rich",
    "typer", "zeus_app.build", "zeus_app.server.context",
)  # fmt: skip


@dataclass
class Probe:
    """What the imports told.

    Attributes:
        failures: module -> why it cannot be imported.
        gpu: names of the GPUs; empty if there is none.
        runtime_key: of this machine; empty if Zeus cannot be imported.
    """

    failures: dict[str, str] = field(default_factory=dict)
    gpu: str = ""
    runtime_key: str = ""


def probe(modules: Sequence[str] = MODULES) -> Probe:
    """Import each module. One that ends its process is a failure, and the others go on."""
    found, left = Probe(), list(modules)
    while True:
        lines, ending = _run(left)
        begun = ""
        for line in lines:
            begun = line.get("importing", begun)
            if "failed" in line:
                found.failures[line["failed"]] = line["error"]
            found.gpu = line.get("gpu", found.gpu)
            found.runtime_key = line.get("runtime_key", found.runtime_key)
        if not ending:
            return found
        if begun not in left:  # it did not begin, or it ended after the last import
            found.failures[begun or "Python"] = ending
            return found
        found.failures[begun] = ending
        left = left[left.index(begun) + 1 :]


def _run(modules: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
    """The lines of one process, and how it ended; empty if it ended by itself."""
    command = [sys.executable, "-W", "ignore", str(PROGRAM), *modules]
    quiet = {**os.environ, "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
    try:
        ended = subprocess.run(
            command, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL, timeout=LONGEST_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as expired:
        return _lines(expired.stdout or b""), f"it takes longer than {LONGEST_S:g} s"
    except OSError as error:
        return [], str(error)
    return _lines(ended.stdout), _ending(ended.returncode)


def _ending(code: int) -> str:
    if not code:
        return ""
    try:
        return f"it ends the process with {signal.Signals(-code).name}"
    except ValueError:
        return f"it ends the process with status {code}"


def _lines(output: bytes) -> list[dict[str, Any]]:
    """The JSON objects of an output. A package may print lines of its own."""
    objects = []
    for line in output.decode(errors="replace").splitlines():
        try:
            objects.append(json.loads(line))
        except ValueError:
            continue
    return [each for each in objects if isinstance(each, dict)]
