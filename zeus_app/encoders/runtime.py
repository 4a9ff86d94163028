"""How a frozen encoder is run: OpenVINO on a CPU, PyTorch on a GPU and wherever OpenVINO fails.

An encoder is a chain of stages; each says whether bfloat16 is good enough for it.
"""

import logging
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import nn

from zeus_app.derived import derive
from zeus_app.types import FloatArray

logger = logging.getLogger(__name__)

Precision = Literal["auto", "f32", "bf16"]
Backend = Literal["auto", "openvino", "torch"]


@dataclass(frozen=True, eq=False)
class Stage:
    """One link of an encoder: a module of one input and one output, dimension 0 the batch."""

    name: str
    module: nn.Module
    tolerates_bf16: bool


class Runtime(Protocol):
    """Something that runs the stages of an encoder one after another."""

    id: str  # software and precision, since both change the last digits

    def __call__(self, batch: FloatArray) -> FloatArray:
        """(N, ...) float32 -> (N, ...) float32."""


def make_runtime(
    stages: Sequence[Stage],
    example: torch.Tensor,
    *,
    device: torch.device,
    keep: Path,
    backend: Backend = "auto",
    precision: Precision = "auto",
) -> Runtime:
    """Choose and build the fastest runtime that works here.

    Args:
        stages: the encoder.
        example: one input, batch size 1, float32, for tracing.
        device: where PyTorch runs; on a CUDA device "auto" means PyTorch.
        keep: folder beside which exported models are kept; its name must change with the weights.
        backend: "auto" is OpenVINO on a CPU, with PyTorch as the way out when it fails.
        precision: "auto" is bfloat16 where the hardware multiplies in it.
    """
    if backend == "torch" or (backend == "auto" and device.type != "cpu"):
        return TorchRuntime(stages, device=device, precision=precision)
    try:
        return OpenVinoRuntime(stages, example, keep=keep, precision=precision)
    except Exception as error:  # whatever goes wrong in it, PyTorch still gives the right answer
        logger.warning("OpenVINO failed (%s); the encoder runs in PyTorch, slower", error)
        return TorchRuntime(stages, device=device, precision="f32")


class TorchRuntime:
    """Stages in PyTorch; those that tolerate it in bfloat16 autocast on a CUDA device."""

    def __init__(
        self, stages: Sequence[Stage], *, device: torch.device, precision: Precision = "auto"
    ) -> None:
        """Move the stages to `device`; "auto" is bfloat16 on CUDA, float32 on a CPU."""
        if precision == "auto":
            precision = "bf16" if device.type == "cuda" else "f32"
        self.id = f"torch-{device.type}-{precision}"
        self._device = device
        self._bf16 = precision == "bf16"
        self._stages = stages
        for stage in stages:
            stage.module.to(device)

    @torch.inference_mode()
    def __call__(self, batch: FloatArray) -> FloatArray:
        """(N, ...) float32 -> (N, ...) float32."""
        value = torch.from_numpy(np.ascontiguousarray(batch)).to(self._device)
        for stage in self._stages:
            half = self._bf16 and stage.tolerates_bf16
            with torch.autocast(self._device.type, torch.bfloat16, enabled=half):
                value = stage.module(value)
        result: FloatArray = value.float().cpu().numpy()
        return result


class OpenVinoRuntime:
    """Stages exported to OpenVINO once, kept on disk, compiled for this CPU."""

    def __init__(
        self,
        stages: Sequence[Stage],
        example: torch.Tensor,
        *,
        keep: Path,
        precision: Precision = "auto",
    ) -> None:
        """Read the kept export, or make it, and compile it. Raises what OpenVINO raises."""
        ov = _import_openvino()
        core = ov.Core()
        if precision == "auto":
            able = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            precision = "bf16" if able else "f32"
        version = ov.__version__.split("-")[0]
        self.id = f"openvino-{version}-{precision}"
        models = _exported(ov, core, stages, example, keep.with_name(f"{keep.name}-ov{version}"))
        self._compiled = [
            core.compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": precision if stage.tolerates_bf16 else "f32",
                    "PERFORMANCE_HINT": "LATENCY",
                },
            )
            for stage, model in zip(stages, models, strict=True)
        ]
        self(example.numpy())  # what fails only when run should fail here

    def __call__(self, batch: FloatArray) -> FloatArray:
        """(N, ...) float32 -> (N, ...) float32, one at a time: the export has batch size 1."""
        return np.concatenate([self._one(batch[i : i + 1]) for i in range(len(batch))])

    def _one(self, value: FloatArray) -> FloatArray:
        for compiled in self._compiled:
            value = compiled(np.ascontiguousarray(value))[0]
        return value.copy()


def _import_openvino() -> Any:  # noqa: ANN401 - it ships no types
    # Importing OpenVINO reports to an analytics server unless this package is missing; a
    # hospital's machine should not.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _exported(
    ov: Any,  # noqa: ANN401
    core: Any,  # noqa: ANN401
    stages: Sequence[Stage],
    example: torch.Tensor,
    folder: Path,
) -> list[Any]:
    models: list[Any] = []

    def export(into: Path) -> None:
        started = time.monotonic()
        models.extend(_convert(ov, stages, example))
        for stage, model in zip(stages, models, strict=True):
            ov.save_model(model, into / f"{stage.name}.xml", compress_to_fp16=False)
        logger.info("exported to OpenVINO in %.1f s: %s", time.monotonic() - started, folder)

    try:
        kept = derive(folder, export)
    except OSError as error:
        if len(models) != len(stages):
            raise
        logger.warning("the OpenVINO export cannot be kept (%s): made anew at every start", error)
        return models
    return models or [core.read_model(kept / f"{stage.name}.xml") for stage in stages]


@torch.no_grad()
def _convert(ov: Any, stages: Sequence[Stage], example: torch.Tensor) -> list[Any]:  # noqa: ANN401
    models = []
    for stage in stages:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecation of tracing, constants in the trace
            # Checking the trace would run the module three more times.
            traced = torch.jit.trace(stage.module, example, check_trace=False)  # type: ignore[no-untyped-call]
        # Window attention reads sizes while it is traced, so the batch size is fixed with them.
        models.append(ov.convert_model(traced, input=[ov.PartialShape(list(example.shape))]))
        example = stage.module(example)
    return models
