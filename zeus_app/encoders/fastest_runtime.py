"""Choose the fastest runtime of an image encoder on this machine.

The runtimes are timed once on sample pictures, the likeliest first, and the choice is saved beside
the weights. A runtime qualifies if SAM's decoder gives the same masks from its embeddings as from
float32 ones. The measurement ends with the first that is twice as fast as eager PyTorch.
"""

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

from zeus_app.devices import has_fast_bfloat16
from zeus_app.encoders.exported_runtimes import OnnxRuntime, OpenVinoRuntime
from zeus_app.encoders.runtime import (
    CannotRunError,
    CompiledRuntime,
    Runtime,
    Stage,
    TorchRuntime,
)
from zeus_app.encoders.sample_masks import sample_pictures
from zeus_app.errors import InputError
from zeus_app.settings.config import EncoderRuntime
from zeus_app.settings.registry import lookup
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.types import BoolArray, FloatArray

logger = logging.getLogger(__name__)

REFERENCE = "torch"
LEAST_AGREEMENT = 0.99
"""Least mean Dice between the masks of a runtime and those of float32."""
_NOT_WORTH_S = 0.05  # seconds per slice in eager PyTorch; below, measuring costs more than it saves
_MOST_RUNS, _ENOUGH_S = 9, 5.0  # of one runtime; whichever comes first, but every picture once
TIME_BOX_S = 45.0
"""No further runtime is tried after this time. Exporting and compiling can take a minute each."""
_LONGEST_FAILURE = 200  # characters

Build = Callable[[str], Runtime]
Masks = Callable[[FloatArray], BoolArray]


@dataclass(frozen=True)
class RuntimeInputs:
    """The inputs of every runtime.

    Attributes:
        stages: the encoder.
        example: one input, batch size 1, float32.
        device: where PyTorch runs.
        artifacts: path whose name begins the names of exports and of the saved choice. It must
            change with the weights.
    """

    stages: Sequence[Stage]
    example: torch.Tensor
    device: torch.device
    artifacts: Path


RUNTIMES: Mapping[str, Callable[[RuntimeInputs], Runtime]] = {
    REFERENCE: lambda p: TorchRuntime(p.stages, device=p.device),
    "openvino-bf16": lambda p: OpenVinoRuntime(
        p.stages, p.example, artifacts=p.artifacts, bf16=True
    ),
    "openvino": lambda p: OpenVinoRuntime(p.stages, p.example, artifacts=p.artifacts),
    "onnx": lambda p: OnnxRuntime(p.stages, p.example, artifacts=p.artifacts),
    "torch-bf16": lambda p: TorchRuntime(p.stages, device=p.device, bf16=True),
    "torch-compiled": lambda p: CompiledRuntime(p.stages, p.example, device=p.device),
}


@dataclass(frozen=True)
class Measurement:
    """One runtime, measured on this machine.

    Attributes:
        name: a key of `RUNTIMES`.
        seconds: per slice; None if the runtime cannot run.
        relative_error: of the embeddings, against float32 in eager PyTorch.
        agreement: mean Dice between its masks and those of float32.
        why_not: why the runtime cannot run.
    """

    name: str
    seconds: float | None = None
    relative_error: float = 0.0
    agreement: float = 1.0
    why_not: str = ""

    def __str__(self) -> str:
        if self.seconds is None:
            return f"{self.name}: {self.why_not}"
        return (
            f"{self.name}: {1000 * self.seconds:.0f} ms a slice, relative error"
            f" {self.relative_error:.1e}, masks agree {self.agreement:.4f}"
        )


def make_runtime(inputs: RuntimeInputs, *, name: EncoderRuntime, masks: Masks) -> Runtime:
    """Build the named runtime, or the fastest one.

    Args:
        inputs: of the encoder.
        name: "auto" is bfloat16 on a GPU. On a CPU it is the saved choice, or the fastest one
            measured now. If that choice fails, eager PyTorch replaces it.
        masks: embeddings of `sample_pictures`, (3, ...) -> (3, K, H, W) bool masks to compare.

    Raises:
        InputError: the named runtime cannot run on this machine.
        UnknownNameError: no such runtime.
    """

    def build(name: str) -> Runtime:
        return lookup("encoder runtime", name, RUNTIMES)(inputs)

    if name != "auto":
        try:
            return build(name)
        except CannotRunError as error:
            raise InputError(
                f"encoder_runtime {name}: {error}",
                expected="a runtime that this machine has",
                remedy="send --set encoder_runtime=auto, or install the missing package",
            ) from error
    if inputs.device.type != "cpu":
        return build("torch-bf16" if has_fast_bfloat16(inputs.device) else REFERENCE)
    chosen = _choice(inputs.artifacts, lambda: measure(build, masks))
    try:
        return build(chosen)
    except Exception as error:  # of any kind; PyTorch still gives the right answer
        logger.warning(
            "%s failed (%s); the encoder runs in PyTorch, which is slower", chosen, error
        )
        return build(REFERENCE)


def measure(build: Build, masks: Masks) -> list[Measurement]:
    """Time the runtimes and compare their masks with those of float32 in eager PyTorch.

    Those after the first that is twice as fast, or after the time box, are not tried.
    """
    logger.info("measuring the fastest encoder runtime of this CPU; once, about a minute")
    began_s = time.perf_counter()
    expected, seconds = _timed(build(REFERENCE))
    measurements = [Measurement(REFERENCE, seconds)]
    logger.info("%s", measurements[0])
    if seconds > _NOT_WORTH_S:
        masks_expected = masks(expected)
        for name in (name for name in RUNTIMES if name != REFERENCE):
            if _is_enough(measurements) or time.perf_counter() - began_s > TIME_BOX_S:
                break
            measurements.append(_compared(name, build, masks, expected, masks_expected))
            logger.info("%s", measurements[-1])
    return measurements


def _is_enough(measurements: Sequence[Measurement]) -> bool:
    """Whether one is twice as fast as eager PyTorch, the first, with the same masks."""
    reference_s = measurements[0].seconds or 0.0
    return any(2 * (each.seconds or 0.0) <= reference_s for each in _qualified(measurements))


def _qualified(measurements: Sequence[Measurement]) -> list[Measurement]:
    return [m for m in measurements if m.seconds and m.agreement >= LEAST_AGREEMENT]


def fastest(measurements: Sequence[Measurement]) -> str:
    """The name of the fastest runtime whose masks agree with those of float32."""
    return min(_qualified(measurements), key=lambda m: m.seconds or 0).name


def _timed(run: Runtime) -> tuple[FloatArray, float]:
    """Embeddings of the sample pictures, and the seconds of the quickest slice after a warm-up.

    The quickest, because other processes of the machine can only add to the time.
    """
    pictures = sample_pictures()
    run(pictures[:1])
    seconds: list[float] = []
    embeddings = []
    while len(seconds) < len(pictures) or (len(seconds) < _MOST_RUNS and sum(seconds) < _ENOUGH_S):
        picture = pictures[len(seconds) % len(pictures)]
        start = time.perf_counter()
        embeddings.append(run(picture[None])[0])
        seconds.append(time.perf_counter() - start)
    return np.stack(embeddings[: len(pictures)]), min(seconds)


def _compared(
    name: str, build: Build, masks: Masks, expected: FloatArray, masks_expected: BoolArray
) -> Measurement:
    try:
        embeddings, seconds = _timed(build(name))
    except Exception as error:  # of any kind; the other runtimes remain
        return Measurement(name, why_not=f"{error or type(error).__name__}"[:_LONGEST_FAILURE])
    relative_error = np.linalg.norm(embeddings - expected) / np.linalg.norm(expected)
    its_masks = masks(embeddings)
    intersection = (its_masks & masks_expected).sum(axis=(-2, -1))
    sizes = its_masks.sum(axis=(-2, -1)) + masks_expected.sum(axis=(-2, -1))
    dice = np.where(sizes > 0, 2 * intersection / np.maximum(sizes, 1), 1.0)
    return Measurement(name, seconds, float(relative_error), float(dice.mean()))


def _choice(artifacts: Path, measure: Callable[[], list[Measurement]]) -> str:
    """The saved choice for this machine; without one, measure and save it.

    The choice depends on the weights (the name of `artifacts`), the software and the machine. It
    does not depend on the number of threads: a server and its training must choose the same runtime
    to share cached embeddings.
    """
    path = artifacts.with_name(f"{artifacts.name}-runtime-{machine_key()}.json")
    try:
        name = str(json.loads(path.read_text(encoding="utf-8"))["chosen"])
        if name in RUNTIMES:
            logger.info("encoder runtime: %s; remove %s to measure again", name, path)
            return name
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not measured yet, or not readable
    measurements = measure()
    name = fastest(measurements)
    record = {"chosen": name, "measured": [asdict(measurement) for measurement in measurements]}
    try:
        write_text_atomically(path, json.dumps(record, indent=1) + "\n")
        logger.info("encoder runtime: %s, saved in %s", name, path)
    except OSError as error:
        logger.warning("encoder runtime: %s; not saved (%s), so every start measures", name, error)
    return name


def machine_key() -> str:
    """A hash of the software and hardware that decide which runtime is fastest.

    It is the last part of the name of a saved choice.
    """
    packages = [_version(name) for name in ("torch", "openvino", "onnxruntime")]
    bf16 = has_fast_bfloat16(torch.device("cpu"))
    capability = torch.backends.cpu.get_cpu_capability()
    words = [*packages, _processor(), capability, str(bf16), str(os.cpu_count())]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:8]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
