"""The peak rate of the machine at products of large matrices, and the FLOP of a network."""

import statistics
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.timing import Act, alternating

EDGES = (1024, 2048, 4096)
STEM = ("TinyViT.patch_embed", "TinyViT.layers.0")


def matrix_product_rates(precision: str, *, repeats: int) -> dict[str, float]:
    """FLOP per second in PyTorch and in OpenVINO, each at its fastest matrix size.

    Args:
        precision: "bf16" or "f32".
        repeats: number of measurements, of which the median counts.
    """
    rates: dict[str, float] = {}
    for edge in EDGES:
        matrix = torch.randn(edge, edge)
        right = torch.randn(edge, edge)
        compiled = _openvino_product(right.numpy(), precision)
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        durations = alternating(
            {
                "torch": call_with(torch.matmul, matrix.to(kind), right.to(kind)),
                "openvino": call_with(compiled, matrix.numpy()),
            },
            repeats=repeats,
        )
        for name, seconds in durations.items():
            rates[name] = max(rates.get(name, 0.0), 2 * edge**3 / statistics.median(seconds))
    return rates


def call_with(function: Callable[..., object], *arguments: object) -> Act:
    """The call of a function, to be timed."""
    return lambda _: function(*arguments)


def _openvino_product(right: np.ndarray[Any, Any], precision: str) -> Any:
    """A compiled model that multiplies its input with a constant, as a layer does."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino as ov
    from openvino import opset13 as ops

    parameter = ops.parameter([len(right), len(right)], dtype=np.float32)
    model = ov.Model([ops.matmul(parameter, ops.constant(right), False, False)], [parameter])
    settings = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    return ov.Core().compile_model(model, "CPU", settings)


@torch.no_grad()
def encoder_flop(encoder: nn.Module) -> tuple[float, float]:
    """FLOP of TinyViT for one 256×256 slice: of the whole network, and of its convolutional stem.

    A multiplication and an addition count as two, as in `matrix_product_rates`.
    """
    with FlopCounterMode(display=False, depth=2) as counter:
        encoder(torch.zeros(1, 3, 256, 256))
    by_module = counter.get_flop_counts()
    stem = sum(sum(by_module[name].values()) for name in STEM)
    return float(counter.get_total_flops()), float(stem)
