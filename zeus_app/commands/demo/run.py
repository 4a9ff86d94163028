"""The demo: segment held-back phantoms, submit labels for the others, train, segment again.

It drives a server over HTTP with MONAI Label's own client, as users do.
"""

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from scipy import ndimage

from zeus_app.commands.demo.page import run_page, study_page
from zeus_app.labels.files import read_label
from zeus_app.metrics import dice
from zeus_app.progress import draw_bars
from zeus_app.reporting.page import write_report
from zeus_app.reporting.pictures import save_png, study_figure
from zeus_app.reporting.values import RunPage, Summary, summarise
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.server.lifecycle.server_process import FAILURES, Answer, ServerError, ServerProcess
from zeus_app.studies.find import find_studies
from zeus_app.studies.read import read_study
from zeus_app.targets import Label, load_target
from zeus_app.types import Volume

MIN_DSC = 0.90
"""Mean DSC of the union that the demo must reach on held-back phantoms."""
MIN_GAIN = 0.05
"""DSC by which the union must exceed the best single sequence."""
EPOCHS = 25
"""Passes over the training slices, so that a slow machine learns as much as a quick one."""
MOST_TRAIN_S = 1800.0
RECIPE: Mapping[str, object] = {"epochs": EPOCHS, "time_budget_s": MOST_TRAIN_S, "seed": 0}
"""All other parameters are those of the default recipe."""


@dataclass(frozen=True)
class DemoPaths:
    """Where the demo reads and writes.

    Attributes:
        phantoms: folder of the phantoms, with their labels and manifest.json.
        out: folder for the report, the server's state and its log.
    """

    phantoms: Path
    out: Path

    @property
    def studies(self) -> Path:
        """The studies folder of the server."""
        return self.phantoms / "studies"

    @property
    def state(self) -> Path:
        """The server's state folder. Each run empties it, except for the cache."""
        return self.out / "state"

    @property
    def report(self) -> Path:
        """The report, an HTML page."""
        return self.out / "index.html"

    def label(self, study: str) -> Path:
        """The true label of a phantom."""
        return self.phantoms / "labels" / f"{study}.nii.gz"


def run_demo(paths: DemoPaths | None = None, recipe: Mapping[str, object] = RECIPE) -> int:
    """Run the demo; the last line on stdout is its result.

    Args:
        paths: where to read and write; by default the checkout's phantoms and reports/demo.
        recipe: parameters of the training.

    Returns:
        Exit code: 0, or 1 when the result is below the aims or the server failed.
    """
    paths = paths or DemoPaths(CHECKOUT / "sample_data" / "phantoms", CHECKOUT / "reports" / "demo")
    console = Console(highlight=False)
    started = time.monotonic()
    try:
        run = _drive(paths, recipe, console)
    except FAILURES as error:
        console.print(f"demo failed: {error}", style="red", markup=False)
        return 1
    write_report(paths.report, run)
    save_png(study_figure(run.studies[0]), paths.out / "result.png")
    summary = summarise(run.studies)
    problem = shortfall(summary)
    console.print(f"demo took {time.monotonic() - started:.0f} s")
    if problem:
        console.print(f"demo failed: {problem}", style="red", markup=False)
    # Scripts read this line.
    typer.echo(
        f"demo: union DSC before={summary.before:.3f} after={summary.after:.3f}"
        f" report={paths.report}"
    )
    return 1 if problem else 0


def shortfall(summary: Summary) -> str | None:
    """Say by how much the result is below the aims; None when it reaches them."""
    after, gain = summary.after or 0.0, summary.gain or 0.0
    if after < MIN_DSC:
        return f"union DSC {after:.3f} on held-back phantoms is below {MIN_DSC}"
    if gain < MIN_GAIN:
        best = summary.best_sequence
        return f"the union is only {gain:.3f} above {best} alone, expected at least {MIN_GAIN}"
    return None


@dataclass(frozen=True, eq=False)
class _LoopResult:
    before: Mapping[str, Answer]  # study -> answer before the training
    checkpoint: Mapping[str, Any]
    after: Mapping[str, Answer]  # study -> answer after the training
    sequence_masks: Mapping[str, Mapping[str, Volume]]  # study -> sequence -> mask after it


def _drive(paths: DemoPaths, recipe: Mapping[str, object], console: Console) -> RunPage:
    """Run the loop with a server, check its answers, and collect what the report shows.

    Raises:
        ServerError: the server failed or gave a wrong answer.
    """
    manifest = json.loads((paths.phantoms / "manifest.json").read_text(encoding="utf-8"))
    target = load_target(manifest["target"])
    shutil.rmtree(paths.state / target.name, ignore_errors=True)
    conf = {"target": target.name, "profile": "reference-small", "state": str(paths.state)}
    times: dict[str, str] = {}
    console.print("demo: start the server ...")
    with ServerProcess(paths.studies, conf, log=paths.out / "server.log") as server:
        times["start the server"] = f"{server.start_seconds:.0f} s"
        console.print(f"demo: server started in {times['start the server']}")
        _check_listing(server, study_count=len(manifest["cases"]))
        with _timed("click on an untrained study", times, console):
            study = manifest["held_back"][0]
            console.print(_click(server, study, paths.label(study), target.labels[0]))
        loop = _run_loop(server, paths, manifest, recipe, times, console)
    check_answers(loop.before, loop.after, loop.checkpoint)
    studies = find_studies(paths.studies, target).studies
    pages = [
        study_page(
            read_study(studies[study]),
            target,
            truth=read_label(paths.label(study)),
            before=loop.before[study],
            after=loop.after[study],
            sequence_masks=loop.sequence_masks[study],
        )
        for study in manifest["held_back"]
    ]
    return run_page(pages, loop.checkpoint, conf, times)


def _run_loop(
    server: ServerProcess,
    paths: DemoPaths,
    manifest: Mapping[str, Any],
    recipe: Mapping[str, object],
    times: dict[str, str],
    console: Console,
) -> _LoopResult:
    """Segment, submit labels, train, segment again; records the time of each step."""
    with _timed("segment held-back studies, untrained", times, console):
        before = _segment(server, manifest["held_back"], console)
    with _timed("submit labels", times, console):
        for study in manifest["learn"]:
            server.client.save_label(study, str(paths.label(study)), params={})
    with _timed("train", times, console):
        checkpoint = _train(server, recipe, console)
    with _timed("segment held-back studies, trained", times, console):
        after = _segment(server, manifest["held_back"], console)
        sequence_masks = {
            study: {name: server.sequence_mask(study, name) for name in answer.params["used"]}
            for study, answer in after.items()
        }
    return _LoopResult(before, checkpoint, after, sequence_masks)


@contextmanager
def _timed(step: str, times: dict[str, str], console: Console) -> Iterator[None]:
    """Print a step and its duration, and record the duration."""
    started = time.monotonic()
    console.print(f"demo: {step} ...")
    yield
    times[step] = f"{time.monotonic() - started:.0f} s"
    console.print(f"demo: {step}: {times[step]}")


def _check_listing(server: ServerProcess, *, study_count: int) -> None:
    """Ask what a client asks first.

    Raises:
        ServerError: the server does not list its model and every study.
    """
    info = server.client.info()
    if "zeus" not in info["models"]:
        raise ServerError(f"GET /info lists no model zeus: {list(info['models'])}")
    listing = server.get("/zeus/studies")
    if len(listing["studies"]) != study_count or listing["problems"]:
        raise ServerError(f"GET /zeus/studies lists {listing}, expected {study_count} studies")
    sample = server.client.next_sample("first", {})
    if sample.get("id") not in listing["studies"]:
        raise ServerError(f"the next sample is not a listed study: {sample}")


def _click(server: ServerProcess, study: str, truth_path: Path, label: Label) -> str:
    """Click into the middle of a structure, as a user does, and say what comes of it.

    The click is 2-D: only its slice is encoded, so that an answer comes at once on any machine.
    """
    truth = read_label(truth_path).array == label.value
    depth = ndimage.distance_transform_edt(truth)
    i, j, k = (int(index) for index in np.unravel_index(int(depth.argmax()), truth.shape))
    answer = server.click(study, (i, j, k), label=label.name)
    score = dice(answer.mask.array[:, :, k] > 0, truth[:, :, k])
    return (
        f"  {study}: one click on the {label.prompt_name} gives a mask of DSC {score:.2f}"
        f" in its slice, in {answer.seconds:.1f} s"
    )


def _segment(server: ServerProcess, studies: Sequence[str], console: Console) -> dict[str, Answer]:
    answers = {}
    for study in studies:
        answers[study] = server.infer(study)
        seconds, params = answers[study].seconds, answers[study].params
        console.print(f"  {study}: {seconds:.1f} s, checkpoint {params['checkpoint']}")
    return answers


def _train(server: ServerProcess, recipe: Mapping[str, object], console: Console) -> dict[str, Any]:
    with Progress(console=console) as progress:
        return server.train(recipe, report=draw_bars(progress))


def check_answers(
    before: Mapping[str, Answer], after: Mapping[str, Answer], checkpoint: Mapping[str, Any]
) -> None:
    """Check that each answer came from the right checkpoint, and that no study leaked into it.

    Args:
        before: study -> answer before the training.
        after: study -> answer after the training.
        checkpoint: description of the checkpoint that the training saved.

    Raises:
        ServerError: an answer came from another checkpoint, or the training used held-back studies.
    """
    if any(not answer.params["untrained"] for answer in before.values()):
        raise ServerError("an answer before the training did not say that it is untrained")
    others = {answer.params["checkpoint"] for answer in after.values()} - {checkpoint["version"]}
    if others:
        raise ServerError(f"answers after the training came from {others}")
    leaked = (set(checkpoint["studies"]) | set(checkpoint["validation"])) & set(after)
    if leaked:
        raise ServerError(f"the training saw held-back studies: {leaked}")
