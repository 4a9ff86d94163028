"""Runtimes outside PyTorch: OpenVINO and ONNX Runtime, from files that are exported once.

The files are in a folder beside the weights. Its name has the hash of the weights and the version
of the exporter, so other weights or another version are exported again. So is a damaged export.
"""

import io
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from zeus_app.encoders.runtime import CannotRunError, Stage
from zeus_app.storage.artifacts import make_artifact
from zeus_app.types import FloatArray

logger = logging.getLogger(__name__)

_OPSET = 17  # of ONNX: the first with layer normalisation as one operator
_LATENCY = {"PERFORMANCE_HINT": "LATENCY"}
STREAMS = 2
"""Pictures of a batch that OpenVINO encodes at the same time.

Threads that share one picture wait for each other after every layer. Where other programs use the
cores too, two pictures with half of the cores each take less time than one after the other.
"""


class OpenVinoRuntime:
    """Stages exported to OpenVINO, compiled for this CPU."""

    def __init__(
        self, stages: Sequence[Stage], example: torch.Tensor, *, artifacts: Path, bf16: bool = False
    ) -> None:
        """Read the export, or make it, and compile it.

        Args:
            stages: the encoder.
            example: one input, batch size 1, float32, for tracing.
            artifacts: path whose name begins the name of the export's folder. It must change with
                the weights.
            bf16: run the stages that tolerate it in bfloat16.

        Raises:
            CannotRunError: the CPU has no bfloat16.
            Exception: any error of OpenVINO.
        """
        ov = import_openvino()
        core = ov.Core()
        if bf16 and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise CannotRunError("this CPU has no bfloat16")
        precision = "bf16" if bf16 else "f32"
        version = ov.__version__.split("-")[0]
        self.id = f"openvino-{version}-{precision}"
        models = _exported(
            artifacts.with_name(f"{artifacts.name}-ov{version}"),
            [f"{stage.name}.xml" for stage in stages],
            convert=lambda: [to_openvino(ov, *each) for each in _with_inputs(stages, example)],
            save=lambda model, path: ov.save_model(model, path, compress_to_fp16=False),
            read=core.read_model,
        )
        precisions = [precision if stage.tolerates_bf16 else "f32" for stage in stages]

        def compiled(hints: Mapping[str, Any]) -> list[Any]:
            return [
                core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint, **hints})
                for model, hint in zip(models, precisions, strict=True)
            ]

        self._compile = compiled
        self._alone = [model.create_infer_request() for model in compiled(_LATENCY)]
        self(example.numpy())  # so that a runtime that fails when it runs fails here

    def __call__(self, batch: FloatArray) -> FloatArray:
        """(N, ...) float32 -> (N, ...) float32. The export has batch size 1.

        A picture alone gets all cores. Of several pictures, `STREAMS` run at the same time.
        """
        if len(batch) < STREAMS or len(os.sched_getaffinity(0)) < STREAMS:
            return np.concatenate(_in_turn(self._alone, batch))
        parts = [batch[first::STREAMS] for first in range(STREAMS)]
        with ThreadPoolExecutor(STREAMS) as threads:
            encoded = list(threads.map(_in_turn, self._streams, parts))
        return np.concatenate([encoded[i % STREAMS][i // STREAMS] for i in range(len(batch))])

    @cached_property
    def _streams(self) -> list[list[Any]]:
        """The requests of each stream, compiled when the first batch comes."""
        models = self._compile({"NUM_STREAMS": STREAMS})
        return [[model.create_infer_request() for model in models] for _ in range(STREAMS)]


def _in_turn(stages: Sequence[Any], batch: FloatArray) -> list[FloatArray]:
    """The result of each picture, (1, ...), from one request a stage."""
    results = []
    for i in range(len(batch)):
        value = batch[i : i + 1]
        for stage in stages:
            value = stage.infer(np.ascontiguousarray(value))[0]
        results.append(value.copy())
    return results


class OnnxRuntime:
    """Stages exported to ONNX, run by ONNX Runtime on the CPU in float32."""

    def __init__(self, stages: Sequence[Stage], example: torch.Tensor, *, artifacts: Path) -> None:
        """Read the export, or make it, and open it. The arguments are those of `OpenVinoRuntime`.

        Raises:
            CannotRunError: onnx or onnxruntime is not installed.
            Exception: any error of onnx or onnxruntime.
        """
        try:
            import_module("onnx")  # PyTorch's exporter calls it
            onnxruntime = import_module("onnxruntime")
        except ImportError as error:
            raise CannotRunError(f"{error.name} is not installed") from error
        self.id = f"onnxruntime-{onnxruntime.__version__}-f32"
        models = _exported(
            artifacts.with_name(f"{artifacts.name}-onnx{torch.__version__.split('+')[0]}"),
            [f"{stage.name}.onnx" for stage in stages],
            convert=lambda: [_to_onnx(*each) for each in _with_inputs(stages, example)],
            save=lambda model, path: path.write_bytes(model),
            read=Path.read_bytes,
        )
        self._sessions = [
            onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
            for model in models
        ]
        self(example.numpy())  # so that a runtime that fails when it runs fails here

    def __call__(self, batch: FloatArray) -> FloatArray:
        """(N, ...) float32 -> (N, ...) float32, one by one, because the export has batch size 1."""
        return np.concatenate([self._one(batch[i : i + 1]) for i in range(len(batch))])

    def _one(self, value: FloatArray) -> FloatArray:
        for session in self._sessions:
            (value,) = session.run(["out"], {"in": np.ascontiguousarray(value)})
        return value


def import_openvino() -> Any:
    """Import OpenVINO without its analytics."""
    # OpenVINO reports to an analytics server if it finds this package. A hospital's machine must
    # not, so the package is hidden.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _exported(
    folder: Path,
    names: Sequence[str],
    *,
    convert: Callable[[], list[Any]],
    save: Callable[[Any, Path], object],
    read: Callable[[Path], Any],
) -> list[Any]:
    """One model per name: read from the folder if it is intact, otherwise converted and saved."""
    models: list[Any] = []

    def export(into: Path) -> None:
        started = time.monotonic()
        models.extend(convert())
        for name, model in zip(names, models, strict=True):
            save(model, into / name)
        logger.info("exported in %.1f s: %s", time.monotonic() - started, folder)

    try:
        made = make_artifact(folder, export)
    except OSError as error:
        if len(models) != len(names):
            raise
        logger.warning("the export cannot be saved (%s); every start exports again", error)
        return models
    return models or [read(made / name) for name in names]


def _with_inputs(
    stages: Sequence[Stage], example: torch.Tensor
) -> Iterator[tuple[nn.Module, torch.Tensor]]:
    """Each stage's module with its input: the example after the stages before it."""
    for stage in stages:
        yield stage.module, example
        with torch.no_grad():
            example = stage.module(example)


@torch.no_grad()
def to_openvino(ov: Any, module: nn.Module, example: torch.Tensor) -> Any:
    """Convert a module, traced with an example of its input, to an OpenVINO model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation of tracing, constants in the trace
        # A check of the trace would run the module three more times.
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
    # Window attention reads sizes during the trace, so the trace fixes the batch size too.
    return ov.convert_model(traced, input=[ov.PartialShape(list(example.shape))])


def _to_onnx(module: nn.Module, example: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        torch.onnx.export(
            module,
            (example,),
            buffer,  # type: ignore[arg-type]  # a stream, as the tracing exporter takes
            dynamo=False,  # the other exporter needs a third package
            input_names=["in"],
            output_names=["out"],
            opset_version=_OPSET,
            # Otherwise the exporter sets modules in eval mode to training mode.
            training=torch.onnx.TrainingMode.PRESERVE,
        )
    return buffer.getvalue()
