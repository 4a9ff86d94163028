"""Which runtime encodes fastest here: measured once on phantoms, remembered beside the weights.

A runtime wins only when the masks that SAM's own decoder draws from its embeddings are those it
draws from the embeddings of float32.
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
from zeus_app.encoders.exported import OnnxRuntime, OpenVinoRuntime
from zeus_app.encoders.phantoms import phantoms
from zeus_app.encoders.runtime import (
    CannotRunError,
    CompiledRuntime,
    Runtime,
    Stage,
    TorchRuntime,
)
from zeus_app.errors import InputError
from zeus_app.settings.config import EncoderRuntime
from zeus_app.settings.registry import lookup
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.types import BoolArray, FloatArray

logger = logging.getLogger(__name__)

REFERENCE = "torch"
LEAST_AGREEMENT = 0.99
"""Mean Dice of a runtime's masks with those of float32, below which it is not taken."""
_NOT_WORTH_S = 0.05  # a slice in eager PyTorch: below this, choosing takes longer than it saves
_MOST_RUNS, _ENOUGH_S = 9, 5.0  # of one runtime, whichever comes first, but each phantom once
_FAILURES_TOLD = 200  # characters

Build = Callable[[str], Runtime]
Masks = Callable[[FloatArray], BoolArray]


@dataclass(frozen=True)
class Parts:
    """What every runtime is built from.

    Attributes:
        stages: the encoder.
        example: one input, batch size 1, float32.
        device: where PyTorch runs.
        keep: folder beside which exports and the choice are kept; its name must change with the
            weights.
    """

    stages: Sequence[Stage]
    example: torch.Tensor
    device: torch.device
    keep: Path


RUNTIMES: Mapping[str, Callable[[Parts], Runtime]] = {
    REFERENCE: lambda p: TorchRuntime(p.stages, device=p.device),
    "openvino-bf16": lambda p: OpenVinoRuntime(p.stages, p.example, keep=p.keep, bf16=True),
    "openvino": lambda p: OpenVinoRuntime(p.stages, p.example, keep=p.keep),
    "onnx": lambda p: OnnxRuntime(p.stages, p.example, keep=p.keep),
    "torch-bf16": lambda p: TorchRuntime(p.stages, device=p.device, bf16=True),
    "torch-compiled": lambda p: CompiledRuntime(p.stages, p.example, device=p.device),
}


@dataclass(frozen=True)
class Measured:
    """One runtime on this machine.

    Attributes:
        name: a key of `RUNTIMES`.
        seconds: of a slice; None where it cannot run.
        relative_error: of the embeddings, to float32 in eager PyTorch.
        agreement: mean Dice of the masks with those of float32.
        why_not: why it cannot run.
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


def make_runtime(parts: Parts, *, name: EncoderRuntime, masks: Masks) -> Runtime:
    """Build the runtime that was asked for, or the one that is fastest here.

    Args:
        parts: of the encoder.
        name: "auto" is bfloat16 on a GPU; on a CPU the remembered choice, else what is measured
            now. A choice that no longer runs gives way to eager PyTorch.
        masks: embeddings of `phantoms`, (3, ...) -> (3, K, H, W) masks, to compare.

    Raises:
        InputError: the runtime that was asked for by name cannot run here.
        UnknownNameError: no such runtime.
    """

    def build(name: str) -> Runtime:
        return lookup("encoder runtime", name, RUNTIMES)(parts)

    if name != "auto":
        try:
            return build(name)
        except CannotRunError as error:
            raise InputError(
                f"encoder_runtime {name}: {error}",
                expected="a runtime that this machine has",
                remedy="set encoder_runtime to auto, or install what is missing",
            ) from error
    if parts.device.type != "cpu":
        return build("torch-bf16" if has_fast_bfloat16(parts.device) else REFERENCE)
    chosen = _choice(parts.keep, lambda: measure(build, masks))
    try:
        return build(chosen)
    except Exception as error:  # whatever goes wrong in it, PyTorch still gives the right answer
        logger.warning("%s failed (%s); the encoder runs in PyTorch, slower", chosen, error)
        return build(REFERENCE)


def measure(build: Build, masks: Masks) -> list[Measured]:
    """Time every runtime on phantoms and compare it with float32 in eager PyTorch, the first."""
    logger.info("measuring what encodes pictures fastest on this CPU; once, about a minute")
    expected, seconds = _timed(build(REFERENCE))
    found = [Measured(REFERENCE, seconds)]
    logger.info("%s", found[0])
    if seconds > _NOT_WORTH_S:
        masks_expected = masks(expected)
        for name in RUNTIMES:
            if name != REFERENCE:
                found.append(_compared(name, build, masks, expected, masks_expected))
                logger.info("%s", found[-1])
    return found


def fastest(measured: Sequence[Measured]) -> str:
    """The name of the fastest among those that draw the masks of float32."""
    right = [one for one in measured if one.seconds and one.agreement >= LEAST_AGREEMENT]
    return min(right, key=lambda one: one.seconds or 0).name


def _timed(run: Runtime) -> tuple[FloatArray, float]:
    """Embeddings of the phantoms, and the seconds of the quickest slice after a warm-up.

    The quickest, for whatever else the machine does can only add to it.
    """
    pictures = phantoms()
    run(pictures[:1])
    seconds: list[float] = []
    embeddings = []
    while len(seconds) < len(pictures) or (len(seconds) < _MOST_RUNS and sum(seconds) < _ENOUGH_S):
        picture = pictures[len(seconds) % len(pictures)]
        began = time.perf_counter()
        embeddings.append(run(picture[None])[0])
        seconds.append(time.perf_counter() - began)
    return np.stack(embeddings[: len(pictures)]), min(seconds)


def _compared(
    name: str, build: Build, masks: Masks, expected: FloatArray, masks_expected: BoolArray
) -> Measured:
    try:
        found, seconds = _timed(build(name))
    except Exception as error:  # a runtime may fail in any way; the others remain
        return Measured(name, why_not=f"{error or type(error).__name__}"[:_FAILURES_TOLD])
    error_of_all = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    drawn = masks(found)
    both = (drawn & masks_expected).sum(axis=(-2, -1))
    sizes = drawn.sum(axis=(-2, -1)) + masks_expected.sum(axis=(-2, -1))
    dice = np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), 1.0)
    return Measured(name, seconds, float(error_of_all), float(dice.mean()))


def _choice(keep: Path, measured: Callable[[], list[Measured]]) -> str:
    """The remembered choice of this machine, else what is measured now, which is then remembered.

    It hangs on the weights (the name of `keep`), the software and the machine; not on how many
    threads a process was given: a server and its training must choose alike to share embeddings.
    """
    path = keep.with_name(f"{keep.name}-runtime-{_machine()}.json")
    try:
        name = str(json.loads(path.read_text(encoding="utf-8"))["chosen"])
        if name in RUNTIMES:
            logger.info("encoder runtime: %s; remove %s to measure again", name, path)
            return name
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not measured yet, or not readable: measured now
    found = measured()
    name = fastest(found)
    record = {"chosen": name, "measured": [asdict(one) for one in found]}
    try:
        write_text_atomically(path, json.dumps(record, indent=1) + "\n")
        logger.info("encoder runtime: %s, remembered in %s", name, path)
    except OSError as error:
        logger.warning("encoder runtime: %s; measured at every start, for %s", name, error)
    return name


def _machine() -> str:
    """A mark of what decides which runtime is fastest, beside the weights."""
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
