"""The command line: which targets, dimensions and click method, and how many clicks and cases."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

import benchmarks.interactive
from benchmarks.interactive.measure import Plan, measure_scene
from benchmarks.interactive.methods import METHODS, Networks, open_networks
from benchmarks.interactive.page import page, write_page
from benchmarks.interactive.rows import Rows
from benchmarks.interactive.scenes import (
    Scene,
    phantom_volumes,
    real_studies,
    scenes_of,
    volumes_of,
)
from benchmarks.pages import RESULTS
from zeus_app.bench.provenance import code_version
from zeus_app.errors import InputError
from zeus_app.settings.registry import lookup
from zeus_app.targets import load_target

TARGETS = {
    "abdomen": "organs",
    "brain_tumour": "whole tumour",
    "ms_lesion": "lesions",
    "prostate": "whole gland, by a machine",
}
"""Target, and folder below ZEUS_REAL_DATA -> what is clicked."""
CLICKS, CASES = 10, 4
SMOKE_CLICKS, SMOKE_SLICES = 3, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for.

    Returns:
        Exit code: 2 if a name is wrong or a study is missing, else 0.
    """
    options, console = _options(arguments), Console(highlight=False, stderr=True)
    try:
        _run(options, console)
    except InputError as error:
        console.print(str(error), style="red", markup=False)
        return 2
    return 0


def _run(options: argparse.Namespace, console: Console) -> None:
    lookup("click method", options.segmenter, METHODS)
    for name in options.target:
        lookup("target of this benchmark", name, TARGETS)
    if options.smoke:
        _run_phantoms(options, console)
    elif not os.environ.get("ZEUS_REAL_DATA"):
        console.print("SKIPPED: ZEUS_REAL_DATA names no folder with real MRI", style="yellow")
    else:
        _run_targets(options, console)


def _run_phantoms(options: argparse.Namespace, console: Console) -> None:
    """Measure one sample study in a temporary folder, and print the tables."""
    with tempfile.TemporaryDirectory(prefix="zeus-interactive-") as scratch:
        rows = Rows(Path(scratch) / "interactive.json")
        volumes = phantom_volumes(load_target("phantom"), studies=1, slices=SMOKE_SLICES)
        networks = open_networks(Path(scratch) / "state")
        with Progress(console=console) as progress:
            bar = progress.add_task("phantom", total=None)
            for volume in volumes:
                _measure_volume(networks, volume, options, rows)
                progress.advance(bar)
        console.print(page(rows.all), markup=False, soft_wrap=True)


def _run_targets(options: argparse.Namespace, console: Console) -> None:
    """Measure real studies, and write rows, tables and plot."""
    rows, data = Rows(RESULTS / "interactive.json"), Path(os.environ["ZEUS_REAL_DATA"])
    with (
        tempfile.TemporaryDirectory(prefix="zeus-interactive-") as scratch,
        Progress(console=console) as progress,
    ):
        networks = open_networks(Path(scratch))
        for name in options.target:
            target = load_target(name)
            studies = real_studies(data / name, target, options.cases)
            bar = progress.add_task(name, total=len(studies))
            for study in studies:
                for volume in volumes_of(study, target):
                    _measure_volume(networks, volume, options, rows)
                progress.advance(bar)
    write_page(rows.all)


def _measure_volume(
    networks: Networks, volume: Scene, options: argparse.Namespace, rows: Rows
) -> None:
    plan = Plan(options.segmenter, options.clicks, options.seed, options.again, code_version())
    for scene in scenes_of(volume, options.dimensions):
        measure_scene(networks, scene, plan, rows)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.interactive",
        description=benchmarks.interactive.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--target", nargs="+", default=list(TARGETS), help="default: %(default)s")
    add("--dimensions", nargs="+", type=int, choices=(2, 3), default=[2, 3], help="default: 2 3")
    add("--clicks", type=_positive, help=f"clicks on each scene; default: {CLICKS}")
    add(
        "--cases",
        type=_positive,
        default=CASES,
        help="studies of each target; default: %(default)s",
    )
    add("--seed", type=int, default=0, help="of torch, for random methods; default: 0")
    add("--segmenter", default="clicks", help="click method; default: %(default)s")
    add("--again", action="store_true", help="measure stored rows again")
    add("--smoke", action="store_true", help="a small phantom; writes nothing")
    options = parser.parse_args(arguments)
    if options.clicks is None:
        options.clicks = SMOKE_CLICKS if options.smoke else CLICKS
    return options


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
