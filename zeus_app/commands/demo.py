"""`make demo`: the whole loop on phantoms, over HTTP, with MONAI Label's own client.

Segment held-back studies untrained, submit labels for the others, train, segment again.
"""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from rich.console import Console
from rich.progress import Progress

from zeus_app.labels.files import read_label
from zeus_app.metrics import dice
from zeus_app.progress import bars
from zeus_app.reporting.page import write_report
from zeus_app.reporting.pictures import save_png, study_figure
from zeus_app.reporting.values import (
    CurvePoint,
    LabelScores,
    RunPage,
    StudyPage,
    Summary,
    summarise,
)
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.server.lifecycle.server_process import FAILURES, Answer, ServerError, ServerProcess
from zeus_app.studies.align import align, canonical
from zeus_app.studies.find import find_studies
from zeus_app.studies.read import read_study
from zeus_app.targets import Target, load_target
from zeus_app.types import Instruction, LabelArray, Study, Volume

WANTED_DSC = 0.80
WANTED_GAIN = 0.05
TRAIN_S = 400.0
"""Wall-clock training time that leaves the demo well below 15 minutes on two cores."""
RECIPE: Mapping[str, object] = {
    "time_budget_s": TRAIN_S,
    "batch_slices": 2,
    "learning_rate": 5e-4,
    "validation_fraction": 0,
    "seed": 0,
}


@dataclass(frozen=True)
class DemoPaths:
    """Where the demo reads and writes."""

    phantoms: Path
    out: Path

    @property
    def studies(self) -> Path:
        """The folder the server is given."""
        return self.phantoms / "studies"

    @property
    def state(self) -> Path:
        """The server's state; made anew by every run, but for the cache."""
        return self.out / "state"

    @property
    def report(self) -> Path:
        """The page."""
        return self.out / "index.html"

    def label(self, study: str) -> Path:
        """The truth of a phantom."""
        return self.phantoms / "labels" / f"{study}.nii.gz"


def run_demo(paths: DemoPaths | None = None, recipe: Mapping[str, object] = RECIPE) -> int:
    """Run the demo; the last line printed is its result.

    Returns:
        the exit code: 0, or 1 when the aims were missed or the server misbehaved.
    """
    paths = paths or DemoPaths(CHECKOUT / "sample_data" / "phantoms", CHECKOUT / "reports" / "demo")
    console = Console(highlight=False)
    began = time.monotonic()
    try:
        run = _drive(paths, recipe, console)
    except FAILURES as error:
        console.print(f"demo failed: {error}", style="red", markup=False)
        return 1
    write_report(paths.report, run)
    save_png(study_figure(run.studies[0]), paths.out / "result.png")
    summary = summarise(run.studies)
    problem = _shortfall(summary)
    console.print(f"demo took {time.monotonic() - began:.0f} s")
    if problem:
        console.print(f"demo failed: {problem}", style="red", markup=False)
    print(  # noqa: T201 - the line that scripts read
        f"demo: union DSC before={summary.before:.3f} after={summary.after:.3f} "
        f"report={paths.report}",
        flush=True,
    )
    return 1 if problem else 0


def _shortfall(summary: Summary) -> str | None:
    after, gain = summary.after or 0.0, summary.gain or 0.0
    if after < WANTED_DSC:
        return f"union DSC {after:.3f} on held-back phantoms is below {WANTED_DSC}"
    if gain < WANTED_GAIN:
        best = summary.best_sequence
        return f"the union is only {gain:.3f} above {best} alone, wanted {WANTED_GAIN}"
    return None


def _drive(paths: DemoPaths, recipe: Mapping[str, object], console: Console) -> RunPage:
    manifest = json.loads((paths.phantoms / "manifest.json").read_text(encoding="utf-8"))
    target = load_target(manifest["target"])
    shutil.rmtree(paths.state / target.name, ignore_errors=True)
    conf = {"target": target.name, "profile": "reference-small", "state": str(paths.state)}
    times: dict[str, str] = {}
    console.print("demo: start the server ...")
    with ServerProcess(paths.studies, conf, log=paths.out / "server.log") as server:
        times["start the server"] = f"{server.start_seconds:.0f} s"
        console.print(f"demo: server started in {times['start the server']}")
        _look_around(server, len(manifest["cases"]))
        with _timed("segment held-back studies, untrained", times, console):
            before = _segment_all(server, manifest["held_back"], console)
        with _timed("submit labels", times, console):
            for study in manifest["learn"]:
                server.client.save_label(study, str(paths.label(study)), params={})
        with _timed("train", times, console):
            checkpoint = _train(server, recipe, console)
        with _timed("segment held-back studies, trained", times, console):
            after = _segment_all(server, manifest["held_back"], console)
            masks = {
                study: {name: server.sequence_mask(study, name) for name in answer.params["used"]}
                for study, answer in after.items()
            }
    _check_versions(before, after, checkpoint)
    studies = find_studies(paths.studies, target).studies
    pages = tuple(
        _page(
            read_study(studies[study]),
            target,
            truth=read_label(paths.label(study)),
            before=before[study],
            after=after[study],
            masks=masks[study],
        )
        for study in manifest["held_back"]
    )
    return _run_page(pages, checkpoint, conf, times)


class _timed:
    """Says what begins, and how long it took."""

    def __init__(self, name: str, times: dict[str, str], console: Console) -> None:
        self._name, self._times, self._console = name, times, console

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self._console.print(f"demo: {self._name} ...")

    def __exit__(self, *error: object) -> None:
        self._times[self._name] = f"{time.monotonic() - self._began:.0f} s"
        self._console.print(f"demo: {self._name}: {self._times[self._name]}")


def _look_around(server: ServerProcess, expected: int) -> None:
    """What a client does first; a server that lists other studies than there are misbehaved."""
    info = server.client.info()
    if "zeus" not in info["models"]:
        raise ServerError(f"GET /info lists no model zeus: {list(info['models'])}")
    found = server.get("/zeus/studies")
    if len(found["studies"]) != expected or found["problems"]:
        raise ServerError(f"GET /zeus/studies lists {found}")
    sample = server.client.next_sample("first", {})
    if sample.get("id") not in found["studies"]:
        raise ServerError(f"next sample is no study: {sample}")


def _segment_all(
    server: ServerProcess, studies: Sequence[str], console: Console
) -> dict[str, Answer]:
    answers = {}
    for study in studies:
        answers[study] = server.infer(study)
        seconds, params = answers[study].seconds, answers[study].params
        console.print(f"  {study}: {seconds:.1f} s, checkpoint {params['checkpoint']}")
    return answers


def _train(server: ServerProcess, recipe: Mapping[str, object], console: Console) -> dict[str, Any]:
    with Progress(console=console) as progress:
        return server.train(recipe, report=bars(progress))


def _check_versions(
    before: Mapping[str, Answer], after: Mapping[str, Answer], checkpoint: Mapping[str, Any]
) -> None:
    if any(not answer.params["untrained"] for answer in before.values()):
        raise ServerError("an answer before the training did not say that it is untrained")
    wrong = {a.params["checkpoint"] for a in after.values()} - {checkpoint["version"]}
    if wrong:
        raise ServerError(f"answers after the training came from {wrong}")
    seen = set(checkpoint["studies"]) | set(checkpoint["validation"])
    if seen & set(after):
        raise ServerError(f"the training saw held-back studies: {seen & set(after)}")


def _page(
    study: Study,
    target: Target,
    *,
    truth: Volume,
    before: Answer,
    after: Answer,
    masks: Mapping[str, Volume],
) -> StudyPage:
    aligned = align(study, target.reference_of(tuple(study.volumes)))
    scores = {
        label.name: LabelScores(
            before=_label_dice(before.mask, truth, label.value),
            after=_label_dice(after.mask, truth, label.value),
            sequences={n: _label_dice(m, truth, label.value) for n, m in masks.items()},
        )
        for label in target.labels
    }
    return StudyPage(
        study_id=study.id,
        spacing_mm=aligned.grid.spacing_mm,
        sequences={n: volume.array.astype(np.float32) for n, volume in aligned.volumes.items()},
        labels=target.label_values,
        masks={name: _labels(mask) for name, mask in masks.items()},
        union=_labels(after.mask),
        truth=_labels(truth),
        scores=scores,
        instructions=tuple(
            Instruction(i["sequence"], i["label"], i["slice"], i["text"], i["model"])
            for i in after.params["instructions"]
        ),
        role="held back from training",
        notes=tuple(after.params["notes"]),
    )


def _labels(volume: Volume) -> LabelArray:
    """A label map as the report wants it: RAS-canonical, uint8."""
    return canonical(volume).array.astype(np.uint8)


def _label_dice(mask: Volume, truth: Volume, value: int) -> float:
    return dice(mask.array == value, truth.array == value)


def _run_page(
    pages: tuple[StudyPage, ...],
    checkpoint: Mapping[str, Any],
    conf: Mapping[str, str],
    times: Mapping[str, str],
) -> RunPage:
    learnt = checkpoint["settings"]
    return RunPage(
        title="Zeus demo: phantoms",
        summary=(
            f"A MONAI Label server segmented {len(pages)} held-back phantoms, learnt from "
            f"{len(checkpoint['studies'])} labelled ones, and segmented them again."
        ),
        studies=pages,
        curve=tuple(
            CurvePoint(epoch["number"], epoch["loss"], epoch["score"])
            for epoch in checkpoint["epochs"]
        ),
        settings={
            "target": conf["target"],
            "profile": conf["profile"],
            "model and fusion": "zeus, hybrid",
            "checkpoint": f"{checkpoint['version']}, {checkpoint['note']}",
            "seed": str(learnt["seed"]),
            "batch": f"{learnt['batch_slices']} slices",
            "time budget": f"{learnt['time_budget_s']:g} s",
            "nibabel": nib.__version__,
        },
        times=times,
        commands=("make demo",),
    )
