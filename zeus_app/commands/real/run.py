"""The runs on real MRI, scored on patients that were held back from training.

For each target, each model gets the same patients and the same wall-clock time. Results are saved
after every step, so that an interrupted run continues where it stopped.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic_core import to_jsonable_python
from rich.console import Console

from zeus_app.commands.real.plans import PLANS, UNET, Plan, with_exchanged_names
from zeus_app.errors import InputError
from zeus_app.labels.files import write_label
from zeus_app.labels.mask_files import find_masks
from zeus_app.metrics import dice, iou, lesion_f1, miou, miou_with_background
from zeus_app.pipeline.plugins import learner_of
from zeus_app.reporting.results import write_results
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.server.lifecycle.server_process import ServerProcess
from zeus_app.settings.config import TrainConfig, ZeusConfig
from zeus_app.settings.recipes import with_recipe
from zeus_app.settings.registry import lookup
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.studies.align import to_grid
from zeus_app.targets import Target, load_target
from zeus_app.types import StudyProblem, Volume

_SMOKE_PARAMS = ("used", "missing", "checkpoint", "volumes_ml", "latencies_ms", "notes")


def run_real(target: str | None = None, fold: int | None = None) -> int:
    """Run one plan, or all of them, and write docs/results.md.

    Args:
        target: the plan's target; None for all plans.
        fold: number of the plan's fold to run; None for all folds.

    Returns:
        Exit code, always 0. Without ZEUS_REAL_DATA the runs are skipped.

    Raises:
        UnknownNameError: there is no plan for this target, or the plan has no such fold.
        InputError: a fold without a target.
    """
    console = Console(highlight=False)
    plans = [lookup("real target", target, PLANS)] if target else list(PLANS.values())
    folds = None if fold is None else [_checked_fold(fold, target)]
    data = os.environ.get("ZEUS_REAL_DATA")
    if not data:
        console.print("real: SKIPPED, ZEUS_REAL_DATA names no folder with real MRI", style="yellow")
        return 0
    out = CHECKOUT / "reports" / "real"
    for plan in plans:
        PlanRun(plan, Path(data) / plan.target, out, console).run(folds)
    page = write_results(out, CHECKOUT / "docs")
    console.print(f"real: wrote {page}")
    return 0


def _checked_fold(fold: int, target: str | None) -> int:
    if target is None:
        raise InputError(
            f"--fold {fold} without --target",
            expected="the target whose fold is meant",
            remedy=f"name it, for example --target abdomen --fold {fold}",
        )
    numbers = {str(number): number for number in range(len(PLANS[target].folds))}
    return lookup(f"fold of {target}", str(fold), numbers)


class PlanRun:
    """One plan, run step by step.

    Args:
        plan: what to run.
        studies: folder of the plan's studies, with their labels.
        out: folder for results; the plan gets a sub-folder.
        console: prints the steps.

    Attributes:
        results: what is saved in results.json. Steps that it holds are not run again, unless it
            belongs to another plan.
    """

    def __init__(self, plan: Plan, studies: Path, out: Path, console: Console) -> None:
        self.plan, self.studies, self.console = plan, studies, console
        self.folder = out / plan.target
        self.path = self.folder / "results.json"
        self.target: Target = load_target(plan.target)
        recipes = {
            name: effective_recipe(ZeusConfig.from_conf(conf))
            for name, conf in plan.models().items()
        }
        self.saved_at_s = time.monotonic()
        self.results: dict[str, Any] = {
            "target": plan.target,
            "plan": to_jsonable_python(plan),
            "train_s": plan.train_s,
            "recipes": recipes,
            "folds": [list(fold) for fold in plan.folds],
            "wall_s": 0.0,
            "runs": {},
        }
        if self.path.exists():
            saved = json.loads(self.path.read_text(encoding="utf-8"))
            if saved.get("plan") == self.results["plan"] and saved.get("recipes") == recipes:
                self.results = saved

    def run(self, folds: Sequence[int] | None = None) -> None:
        """Run the steps that have no saved results.

        Args:
            folds: numbers of the folds to run; None for all.
        """
        self.saved_at_s = time.monotonic()
        self.truths = dict(self._truths())
        for name, conf in self.plan.models().items():
            missing = self.missing_folds(name, folds)
            smoke = bool(self.plan.smoke) and name == "Zeus" and "smoke" not in self.results
            if smoke or missing:
                self._run_model(name, conf, missing, smoke=smoke)
            has_other_names = name == "Zeus" and len(self.target.labels) > 1
            if has_other_names and "exchanged" not in self.results:
                self.results["exchanged"] = self._score_exchanged_names(conf)
                self.save()

    def missing_folds(self, model: str, folds: Sequence[int] | None = None) -> list[int]:
        """The folds without saved results of a model, among some or all of the plan's."""
        chosen = range(len(self.plan.folds)) if folds is None else folds
        return [fold for fold in chosen if f"{model}|{fold}" not in self.results["runs"]]

    def save(self) -> None:
        """Save the results so far, with the wall-clock time since the last save."""
        now = time.monotonic()
        self.results["wall_s"] += now - self.saved_at_s
        self.saved_at_s = now
        write_text_atomically(self.path, json.dumps(self.results, indent=1))

    def _run_model(
        self, name: str, conf: dict[str, str], folds: Sequence[int], *, smoke: bool
    ) -> None:
        self._print(f"{name}: starting a server")
        state = {"target": self.target.name, "state": str(self.folder / "state")}
        log = self.folder / "server.log"
        with ServerProcess(self.studies, {**state, **conf}, log=log) as server:
            if smoke:
                self.results["smoke"] = [self._smoke(server, s) for s in self.plan.smoke]
                self.save()
            self._submit_labels(server)
            for fold in folds:
                run = self._run_fold(server, name, self.plan.folds[fold])
                self.results["runs"][f"{name}|{fold}"] = run
                self.save()

    def _run_fold(
        self, server: ServerProcess, name: str, held_back: tuple[str, ...]
    ) -> dict[str, Any]:
        cases = []
        if name == "Zeus":
            server.post("/zeus/checkpoints/untrained/serve")
            cases += [self._score(server, study, "before") for study in held_back]
        self._print(f"{name}: training without {', '.join(held_back)}")
        started = time.monotonic()
        budget_s = self._budget_s(name, held_back)
        checkpoint = server.train({"time_budget_s": budget_s, "exclude": ",".join(held_back)})
        seconds = time.monotonic() - started
        cases += [self._score(server, study, "after") for study in held_back]
        return {
            "model": name,
            "judged": list(held_back),
            "learnt": checkpoint["studies"],
            "epochs": checkpoint["epochs"],
            "train_seconds": checkpoint["seconds"],
            "with_preparation_seconds": seconds,
            "cases": cases,
        }

    def _budget_s(self, name: str, held_back: tuple[str, ...]) -> float:
        """Training time; the U-Net gets the time that Zeus took to prepare and train this fold."""
        if name != UNET:
            return self.plan.train_s
        zeus = next(
            run
            for run in self.results["runs"].values()
            if run["model"] == "Zeus" and run["judged"] == list(held_back)
        )
        return float(zeus["with_preparation_seconds"])

    def _score(self, server: ServerProcess, study: str, phase: str) -> dict[str, Any]:
        """Segment a study and score the union and each sequence's mask."""
        answer = server.infer(study)
        params, truth = answer.params, self.truths[study]
        masks = {"union": answer.mask}
        if len(params["used"]) > 1 and params["agreement"]:
            masks |= {name: server.sequence_mask(study, name) for name in params["used"]}
        scores = {name: self._scores(mask, truth) for name, mask in masks.items()}
        means = ", ".join(f"{name} {_mean_dsc(score):.3f}" for name, score in scores.items())
        self._print(f"{study} {phase}: mean DSC {means} ({answer.seconds:.0f} s)")
        return {
            "study": study,
            "phase": phase,
            "seconds": answer.seconds,
            "latencies_ms": params["latencies_ms"],
            "checkpoint": params["checkpoint"],
            "scores": scores,
        }

    def _score_exchanged_names(self, conf: dict[str, str]) -> dict[str, list[float]]:
        """Prompt each label by the next one's name, to see whether the text decides.

        Returns:
            "named": DSC with the label of that name; "trained": DSC with the label of that value.
        """
        self._print("prompting each label by the next one's name")
        path = self.folder / "exchanged.yaml"
        exchanged = with_exchanged_names(self.target).model_dump(mode="json")
        write_text_atomically(path, yaml.safe_dump(exchanged, sort_keys=False))
        conf = {**conf, "target": str(path), "state": str(self.folder / "state")}
        values = list(self.target.label_values.values())
        named, trained = [], []
        with ServerProcess(self.studies, conf, log=self.folder / "server.log") as server:
            for study in self._last_judged():
                mask = server.infer(study).mask
                truth = to_grid(self.truths[study], mask.grid, order=0, fill=0.0).array
                for value, next_value in zip(values, [*values[1:], values[0]], strict=True):
                    named.append(dice(mask.array == value, truth == next_value))
                    trained.append(dice(mask.array == value, truth == value))
        self._print(
            f"mean DSC with the named label {np.mean(named):.3f},"
            f" with the label trained under that value {np.mean(trained):.3f}"
        )
        return {"named": named, "trained": trained}

    def _last_judged(self) -> list[str]:
        """Studies that the served checkpoint of Zeus never saw: those of the last fold that ran."""
        runs = [run for run in self.results["runs"].values() if run["model"] == "Zeus"]
        return list(runs[-1]["judged"])

    def _scores(self, mask: Volume, truth: Volume) -> dict[str, Any]:
        """Scores of a label map on its own grid; the truth is resampled to it."""
        predicted = mask.array.astype(np.uint8)
        true = to_grid(truth, mask.grid, order=0, fill=0.0).array.astype(np.uint8)
        values = self.target.label_values
        pairs = {name: (predicted == v, true == v) for name, v in values.items()}
        lesions = {"lesion_f1": {name: lesion_f1(*pair) for name, pair in pairs.items()}}
        return {
            "dsc": {name: dice(*pair) for name, pair in pairs.items()},
            "iou": {name: iou(*pair) for name, pair in pairs.items()},
            **(lesions if self.plan.lesions else {}),
            "miou": miou(predicted, true, list(values.values())),
            "miou_with_background": miou_with_background(predicted, true, list(values.values())),
        }

    def _smoke(self, server: ServerProcess, study: str) -> dict[str, Any]:
        """Segment a study without scoring it."""
        answer = server.infer(study)
        self._print(f"{study}: smoke, {answer.seconds:.0f} s, used {answer.params['used']}")
        return {
            "study": study,
            "seconds": answer.seconds,
            "shape": list(answer.mask.array.shape),
            **{name: answer.params[name] for name in _SMOKE_PARAMS},
        }

    def _submit_labels(self, server: ServerProcess) -> None:
        """Submit every label once. Each training excludes the studies of its fold."""
        studies = server.get("/zeus/studies")["studies"]
        labelled = {name for name, study in studies.items() if study["labelled"]}
        names = self.target.label_values
        with tempfile.TemporaryDirectory() as scratch:
            for study in sorted(set(self.truths) - labelled):
                path = Path(scratch) / f"{study}.nii.gz"
                write_label(path, self.truths[study], names=names)
                server.client.save_label(study, str(path), params={})

    def _truths(self) -> Iterator[tuple[str, Volume]]:
        """The human labels: (study, label map). Studies of the smoke test have none.

        Raises:
            InputError: the plan's folder is missing.
        """
        if not self.studies.is_dir():
            raise InputError(
                f"no folder {self.studies}",
                expected="the folders that the README of ZEUS_REAL_DATA lists",
                remedy="set ZEUS_REAL_DATA to the folder above it, for example /data/real_mri",
            )
        for mask in find_masks(self.studies, self.target):
            if not isinstance(mask, StudyProblem) and mask.study_id not in self.plan.smoke:
                yield mask.study_id, mask.volume

    def _print(self, text: str) -> None:
        self.console.print(f"real {self.plan.target}: {text}", markup=False)


def effective_recipe(config: ZeusConfig) -> dict[str, Any]:
    """What the default recipe of a server differs in from the paper's, except for its time budget.

    Args:
        config: the settings of the server.
    """
    settings = with_recipe({"time_budget_s": None}, learner_of(config))
    paper = TrainConfig(recipe=settings.recipe).model_dump()
    return {name: value for name, value in settings.model_dump().items() if value != paper[name]}


def _mean_dsc(score: Mapping[str, Any]) -> float:
    return float(np.mean(list(score["dsc"].values())))
