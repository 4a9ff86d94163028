"""Run the parts one after another. Each part writes its results before the next part begins."""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.pages import RESULTS
from benchmarks.speed import baselines, clicks, encoder, memory, server, training
from benchmarks.speed.bench import SMOKE, Bench, Sizes
from benchmarks.speed.figures import Figure, NotMeasured, Results
from benchmarks.speed.page import format_figure, write_page
from zeus_app.server.lifecycle.server_process import FAILURES

Part = Callable[[Bench], list[Figure]]

# first-click is the last part on the shared server, because it leaves work in the background.
PARTS: Mapping[str, tuple[Part, tuple[str, ...]]] = {
    "encoder": (encoder.measure, ("encoder_speedup", "encoder_over_floor")),
    "epoch": (training.measure_epoch, ("epoch_speedup",)),
    "step": (training.measure_step, ("step_over_decoder",)),
    "study": (server.measure_study, ("study_over_encode", "repeated_inference_s")),
    "click": (clicks.measure_clicks, ("click_over_decoder", "click_speedup")),
    "info": (server.measure_info, ("info_p95_ms_busy",)),
    "first-click": (clicks.measure_first_click, ("first_click_over_encode",)),
    "memory": (memory.measure, ("server_peak_mib", "server_growth")),
    "predictor": (baselines.measure_predictor, ("segment-anything's SamPredictor",)),
    "sam2": (baselines.measure_sam2, ("MONAI Label's SAM2 task",)),
}
"""Name -> (function that measures, keys of its figures)."""
ALONE = ("memory", "predictor", "sam2")
"""These parts run without the shared server."""


def run_part(name: str, bench: Bench) -> list[Figure]:
    """The figures of a part; if it fails, figures without values and with the reason."""
    measure, keys = PARTS[name]
    if name in ALONE:
        bench.close()
    try:
        return measure(bench)
    except (NotMeasured, *FAILURES) as why:
        bench.close()  # do not use a failed server again
        return [Figure(key, None, note=" ".join(str(why).split())) for key in keys]


def run(names: Sequence[str], results: Results, sizes: Sizes, console: Console) -> None:
    """Measure the parts that are missing in the results."""
    with tempfile.TemporaryDirectory(prefix="zeus-speed-") as folder:
        bench = Bench(Path(folder), sizes, console)
        try:
            for name in names:
                if results.has(name):
                    console.print(f"{name}: measured already, by this code")
                    continue
                began = time.monotonic()
                figures = run_part(name, bench)
                results.put(name, figures, seconds=time.monotonic() - began)
                for result in figures:
                    outcome = (
                        "not measured: " + result.note
                        if result.value is None
                        else format_figure(result.value)
                    )
                    console.print(f"{name}: {result.key} {outcome}", markup=False)
        finally:
            bench.close()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"any of {', '.join(PARTS)}; none: all of them")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes; writes nothing")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    console = Console(highlight=False)
    if options.smoke:
        with tempfile.TemporaryDirectory() as scratch:
            results = Results(Path(scratch) / "speed.json")
            run(options.parts or list(PARTS), results, SMOKE, console)
            console.print_json(data=results.content)
        return
    results = Results(RESULTS / "speed.json")
    if options.parts:
        results.forget(options.parts)
    else:
        results.begin()
    run(options.parts or list(PARTS), results, Sizes(), console)
    if not options.parts:
        results.finish()
    write_page(results.content, results.figures)


if __name__ == "__main__":
    main()
