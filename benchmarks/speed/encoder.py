"""The image encoder, compared with plain PyTorch and with the peak rate of the machine."""

import statistics

import numpy as np

from benchmarks.speed.baselines import lite_medsam
from benchmarks.speed.bench import Bench
from benchmarks.speed.figures import AIMS, Figure
from benchmarks.speed.machine import encoder_flop, matrix_product_rates
from benchmarks.speed.profiles import Rows, of_exported_encoder, of_operators
from benchmarks.speed.timing import alternating, ratio
from zeus_app.types import FloatArray

AT_ONCE = 8
"""Slices per call. A CPU encodes them one after another."""
AGREEMENT = "relative error of an embedding against float32"


def measure(bench: Bench) -> list[Figure]:
    """encoder_speedup and encoder_over_floor."""
    pictures = bench.pictures(bench.stack(bench.study("study")))
    ours, eager = bench.ours, bench.eager
    count = min(AT_ONCE, len(pictures))

    def some(repetition: int) -> slice:
        start = repetition * count % (len(pictures) - count + 1)
        return slice(start, start + count)

    durations = alternating(
        {
            "eager": lambda n: eager.encode(pictures[some(n)][:1]),
            "ours": lambda n: ours.encode(pictures[some(n)]),
        },
        repeats=bench.sizes.short,
    )
    a_slice = [seconds / count for seconds in durations["ours"]]
    precision = "bf16" if "bf16" in ours.id else "f32"
    rates = matrix_product_rates(precision, repeats=bench.sizes.short)
    flop, stem = encoder_flop(lite_medsam(bench.weights).image_encoder)
    floor = flop / max(rates.values())
    values = {
        "encoder_speedup": ratio(durations["eager"], a_slice),
        "encoder_over_floor": statistics.median(a_slice) / floor,
    }
    fine = all(AIMS[key].reached(value) for key, value in values.items())
    profile = () if fine else _profile(bench, pictures[:1], precision)
    return [
        Figure(
            "encoder_speedup",
            values["encoder_speedup"],
            {
                "float32 eager, s": durations["eager"],
                "ours, s a slice": a_slice,
                "ours": ours.id,
                "slices a call": count,
                AGREEMENT: _difference(bench, pictures[:1]),
            },
            profile=profile,
        ),
        Figure(
            "encoder_over_floor",
            values["encoder_over_floor"],
            {
                "GFLOP a slice": flop / 1e9,
                "of them in the stem, which stays in float32": stem / 1e9,
                **{f"{name}, GFLOP/s in {precision}": rate / 1e9 for name, rate in rates.items()},
                "floor, s a slice": floor,
            },
            profile=profile,
        ),
    ]


def _profile(bench: Bench, picture: FloatArray, precision: str) -> Rows:
    if "openvino" in bench.ours.id:
        return of_exported_encoder(bench.weights, precision)
    return of_operators(lambda: bench.ours.encode(picture))


def _difference(bench: Bench, picture: FloatArray) -> float:
    plain = bench.eager.encode(picture).astype(np.float32)
    ours = bench.ours.encode(picture).astype(np.float32)
    return float(np.linalg.norm(plain - ours) / np.linalg.norm(plain))
