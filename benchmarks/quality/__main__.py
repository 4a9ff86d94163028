"""The command line: which idea, on which targets, folds and seeds, for how long."""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

import benchmarks.quality
from benchmarks.pages import RESULTS
from benchmarks.quality.experiment import Experiment, open_experiment
from benchmarks.quality.figures import summarise
from benchmarks.quality.page import write_page
from benchmarks.quality.runs import Idea, Run, RunKey, Runs
from zeus_app.bench.labelled_studies import PHANTOMS, labelled_phantoms, labelled_studies
from zeus_app.commands.real.plans import PLANS, Plan
from zeus_app.errors import InputError
from zeus_app.progress import Report, draw_bars
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.settings.registry import lookup
from zeus_app.targets import load_target
from zeus_app.types import LabelledStudy

PLANS_WITH_FOLDS = {name: plan for name, plan in PLANS.items() if plan.folds}
SCREENING_S, SMOKE_S = 120.0, 5.0
SAMPLES = Plan("phantom", (("phantom_00",), ("phantom_01",), ("phantom_02",)), train_s=SMOKE_S)
"""What --smoke runs: three sample studies."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for.

    Returns:
        Exit code: 2 if a name or value is wrong, else 0.
    """
    options = _options(arguments)
    console = Console(highlight=False, stderr=True)
    try:
        if options.smoke:
            _run_samples(options, console)
        else:
            _run_targets(options, Runs(RESULTS / "quality.json"), console)
    except InputError as error:
        console.print(str(error), style="red", markup=False)
        return 2
    return 0


def _run_samples(options: argparse.Namespace, console: Console) -> None:
    with tempfile.TemporaryDirectory(prefix="zeus-quality-") as scratch:
        _Session(options, Runs(Path(scratch) / "quality.json"), console).run(
            SAMPLES,
            partial(labelled_phantoms, load_target(SAMPLES.target), count=len(SAMPLES.folds)),
            folder=PHANTOMS / "studies",
            state=Path(scratch) / "state",
        )


def _run_targets(options: argparse.Namespace, runs: Runs, console: Console) -> None:
    remarks = {"against": options.against, "verdict": options.verdict}
    if any(remarks.values()):
        runs.remark(options.name, **{name: text for name, text in remarks.items() if text})
    data = os.environ.get("ZEUS_REAL_DATA")
    if options.targets and not data:
        console.print("SKIPPED: ZEUS_REAL_DATA names no folder with real MRI", style="yellow")
        return
    for plan in [lookup("target", name, PLANS_WITH_FOLDS) for name in options.targets]:
        folder = Path(str(data)) / plan.target
        _Session(options, runs, console).run(
            plan,
            partial(labelled_studies, folder, load_target(plan.target), skip=plan.smoke),
            folder=folder,
            state=CHECKOUT / "reports" / "real" / plan.target / "state",  # as `make real`
        )
    write_page(runs.content)


class _Session:
    """The runs of one idea that the command line asks for.

    Args:
        options: the command line.
        runs: the stored runs.
        console: prints each run.
    """

    def __init__(self, options: argparse.Namespace, runs: Runs, console: Console) -> None:
        self.options, self.runs, self.console = options, runs, console
        self.idea = Idea(options.name, dict(options.set), dict(options.train))
        self.epochs: int | None = options.epochs

    def run(
        self,
        plan: Plan,
        find: Callable[[], Sequence[LabelledStudy]],
        *,
        folder: Path,
        state: Path,
    ) -> None:
        """Run every fold and seed that has no stored run.

        Args:
            plan: target, sequences and folds.
            find: reads the labelled studies. It is called only if a run is missing.
            folder: of the studies.
            state: state folder, for its cache.
        """
        if self.options.again:
            self.runs.forget(self._keys(plan))
        self.runs.check(self.idea, plan.target)
        missing = self._missing(plan)
        if not missing:
            self.console.print(f"{plan.target}: every run exists; --again runs them again")
            return
        experiment = open_experiment(plan, self.idea, find(), folder=folder, state=state)
        with Progress(console=self.console) as progress:
            report = draw_bars(progress)
            for fold in sorted({key.fold for key in missing}):
                keys = [key for key in missing if key.fold == fold]
                self._run_fold(experiment, keys, report)

    def _run_fold(self, experiment: Experiment, keys: Sequence[RunKey], report: Report) -> None:
        # Cases are prepared for each fold: a model may keep in memory what it made of them.
        with experiment.segmenter.model.pin_embeddings():
            cases = experiment.prepare(report)
            for key in keys:
                self.console.print(f"{key}: training", markup=False)
                run = experiment.run(
                    key,
                    cases,
                    epochs=self.epochs,
                    every_subset=self.options.every_subset,
                    report=report,
                )
                self.runs.put(run)
                self.console.print(f"{key}: {_in_words(run)}", markup=False)

    def _keys(self, plan: Plan) -> list[RunKey]:
        options = self.options
        folds = range(len(plan.folds)) if options.fold is None else options.fold
        for fold in folds:
            lookup(f"fold of {plan.target}", str(fold), {str(n): n for n in range(len(plan.folds))})
        return [
            RunKey(options.name, plan.target, fold, seed, options.seconds, options.train_patients)
            for fold in folds
            for seed in options.seed
        ]

    def _missing(self, plan: Plan) -> list[RunKey]:
        stored = {key: self.runs.find(key) for key in self._keys(plan)}
        return [key for key, run in stored.items() if run is None or self._lacks_subsets(run)]

    def _lacks_subsets(self, run: Run) -> bool:
        return self.options.every_subset and not run["subsets"]


def _in_words(run: Run) -> str:
    summary = summarise([run])
    step = "" if summary.step_s is None else f", {summary.step_s:.2f} s each"
    return (
        f"mean DSC {summary.mean:.3f}, worst {summary.worst:.3f} ({summary.worst_place}),"
        f" lesion F1 {summary.lesion_f1:.3f}; {summary.steps:.0f} steps{step}"
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description=benchmarks.quality.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "targets",
        nargs="*",
        metavar="target",
        help=f"any of {', '.join(PLANS_WITH_FOLDS)}; none: only write the page",
    )
    add("--name", default="default", help="name of the idea; default: %(default)s")
    add(
        "--set",
        action="append",
        default=[],
        type=_pair,
        metavar="KEY=VALUE",
        help="setting of the server (--conf), for example decoder=readout",
    )
    add(
        "--train",
        action="append",
        default=[],
        type=_pair,
        metavar="KEY=VALUE",
        help="parameter of POST /train/zeus, for example recipe=paper; none: the default recipe",
    )
    add("--fold", nargs="+", type=int, help="numbers of folds, from 0; default: all")
    add("--seed", nargs="+", type=int, default=[0], help="seeds; default: 0")
    add(
        "--seconds",
        type=float,
        help=f"time budget of each training; default: {SCREENING_S:g}, with --smoke {SMOKE_S:g}",
    )
    add(
        "--epochs",
        type=int,
        metavar="N",
        help="end after N epochs, however long they take: as many as a quiet machine has time for"
        " in --seconds, so that a busy one learns as much",
    )
    add(
        "--train-patients",
        type=int,
        default=0,
        metavar="N",
        help="learn from N patients of the fold; default: all",
    )
    add("--screening", action="store_true", help="fold 0, seed 0, 120 s")
    add(
        "--every-subset",
        action="store_true",
        help="also judge with every subset of the target's sequences",
    )
    add("--against", help="name of the idea that this one is compared with")
    add("--verdict", help="text for the table, for example 'kept'")
    add("--again", action="store_true", help="run stored runs again")
    add("--smoke", action="store_true", help="three sample studies; writes nothing")
    options = parser.parse_args(arguments)
    if options.screening:
        options.fold, options.seed, options.seconds = [0], [0], SCREENING_S
    if options.seconds is None:
        options.seconds = SMOKE_S if options.smoke else SCREENING_S
    return options


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE, such as decoder=readout")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
