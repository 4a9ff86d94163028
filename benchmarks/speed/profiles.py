"""Where the time went, for figures that miss their aim: the largest rows, in milliseconds."""

import cProfile
import pstats
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

ROWS = 8
Rows = tuple[tuple[str, float], ...]


def largest(stages_ms: Mapping[str, float], *, rows: int = ROWS) -> Rows:
    """The largest rows, and one row with the sum of all others."""
    ordered = sorted(stages_ms.items(), key=lambda row: -row[1])
    if len(ordered) <= rows:
        return tuple(ordered)
    others = sum(value for _, value in ordered[rows - 1 :])
    return (*ordered[: rows - 1], ("all others", others))


def of_stages(latencies_ms: Mapping[str, float], *, whole_s: float) -> Rows:
    """The stages of a request in the server, and the rest of the time that the client waits."""
    outside = 1000 * whole_s - sum(latencies_ms.values())
    return largest({**latencies_ms, "reading, writing, HTTP": outside})


def of_operators(act: Callable[[], object]) -> Rows:
    """PyTorch's operators inside a call, by their own time."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        act()
    return largest({row.key: row.self_cpu_time_total / 1000 for row in profiler.key_averages()})


def of_functions(act: Callable[[], object]) -> Rows:
    """Functions inside a call, also built-in ones, by their own time."""
    profiler = cProfile.Profile()
    profiler.runcall(act)
    spent: dict[str, float] = defaultdict(float)
    # (file, line, name) -> (calls, all calls, own seconds, seconds with what it called, callers)
    for (file, _, name), row in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        prefix = "" if file == "~" else f"{Path(file).name}: "
        spent[f"{prefix}{name}"] += 1000 * row[2]
    return largest(spent)


def of_exported_encoder(weights: Path, precision: str) -> Rows:
    """Layers of OpenVINO while one slice is encoded, by kind; empty without an exported encoder.

    Args:
        weights: file of the encoder. Exported networks lie in the same folder.
        precision: of all stages but the stem, which needs float32.
    """
    exported = sorted(weights.parent.glob(f"{weights.stem}-*-ov*"))
    if not exported:
        return ()
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino as ov

    core = ov.Core()
    spent: dict[str, float] = defaultdict(float)
    for path in sorted(exported[-1].glob("*.xml")):
        hint = "f32" if path.stem == "stem" else precision
        settings = {"PERF_COUNT": True, "INFERENCE_PRECISION_HINT": hint}
        request = core.compile_model(path, "CPU", settings).create_infer_request()
        shape = request.model_inputs[0].shape
        for _ in range(2):  # the first run is slower
            request.infer([np.zeros(shape, np.float32)])
        for node in request.profiling_info:
            kind = f"{path.stem}: {node.node_type} ({node.exec_type})"
            spent[kind] += node.real_time.total_seconds() * 1000
    return largest(spent)
