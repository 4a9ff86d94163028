"""`make real`: the server loop on real MRI, judged on patients it never learnt from.

For each target, each model gets the same patients and the same wall-clock training time. What is
done is written down after every step, so that an interrupted run goes on where it was.
"""

import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic_core import to_jsonable_python
from rich.console import Console

from zeus_app.errors import InputError
from zeus_app.labels.files import write_label
from zeus_app.labels.mask_files import find_masks
from zeus_app.metrics import dice, iou, miou, miou_with_background
from zeus_app.reporting.results import write_results
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.server.lifecycle.server_process import ServerProcess
from zeus_app.settings.registry import lookup
from zeus_app.storage.atomic import write_text_atomically
from zeus_app.studies.align import to_grid
from zeus_app.targets import Target, load_target
from zeus_app.types import StudyProblem, Volume

RECIPE: Mapping[str, object] = {
    "batch_slices": 4,
    "learning_rate": 5e-4,
    "validation_fraction": 0,
    "augment": 1,
    "seed": 0,
}
"""The paper's recipe but for what two cores and minutes ask for; see docs/results.md."""

SMALL_STEPS: Mapping[str, object] = {"batch_slices": 2, "learning_rate": 2e-4}
"""Two minutes of larger steps may throw a sequence's branch onto the empty mask for good."""


@dataclass(frozen=True)
class Plan:
    """What is done with one folder of real studies.

    Attributes:
        target: name; also of the folder below ZEUS_REAL_DATA.
        folds: the studies judged in each fold; the others with labels are learnt from.
        train_s: wall-clock training time of Zeus in each fold. The U-Net, which has nothing to
            prepare, trains for as long as Zeus's preparation and training took together.
        sequences: those to look at; empty for all of the target's.
        alone: the sequence that also gets a model of its own; empty where there is but one.
        smoke: studies that are segmented but not scored, for their truth is a machine's.
        recipe: what this target's training asks for beside RECIPE.
    """

    target: str
    folds: tuple[tuple[str, ...], ...]
    train_s: float
    sequences: str = ""
    alone: str = ""
    smoke: tuple[str, ...] = ()
    recipe: Mapping[str, object] = field(default_factory=dict)

    def models(self) -> dict[str, dict[str, str]]:
        """Name in the tables -> settings."""
        chosen = {"sequences": self.sequences} if self.sequences else {}
        models = {"Zeus": {"model": "zeus", "fusion": "hybrid", **chosen}}
        if self.alone:
            alone = {"model": "zeus", "fusion": "hybrid", "sequences": self.alone}
            models[f"Zeus on {self.alone} alone"] = alone
        models["U-Net"] = {"model": "unet", "fusion": "early", **chosen}
        return models


_BRATS = tuple(f"brats_2013_pat000{n}_1" for n in (3, 4, 5, 6))

PLANS: Mapping[str, Plan] = {
    plan.target: plan
    for plan in (
        Plan(
            "abdomen",
            (("chaos_37", "chaos_38", "chaos_5", "chaos_8"),),
            train_s=240,
            sequences="T2-SPIR",
        ),
        Plan(
            "brain_tumour",
            tuple((patient,) for patient in _BRATS),
            train_s=115,
            sequences="FLAIR,T1Gd",
            alone="FLAIR",
            smoke=("TCGA-DU-7294",),
            recipe=SMALL_STEPS,
        ),
        # Lesions of a few voxels: without these two the training ends with an empty mask.
        Plan(
            "ms_lesion",
            (("patient19",), ("patient07",)),
            train_s=150,
            alone="FLAIR",
            recipe={"warm_up": 0.1, "balance": 0.05},
        ),
        Plan("prostate", (), train_s=0, smoke=("ProstateX-0000",)),
    )
}


def exchanged(target: Target) -> Target:
    """The target in which every label is asked for by the next one's name."""
    names = [label.prompt_name for label in target.labels]
    pairs = zip(target.labels, [*names[1:], names[0]], strict=True)
    labels = tuple(label.model_copy(update={"instance": name}) for label, name in pairs)
    return target.model_copy(update={"labels": labels})


def run_real(target: str | None = None) -> int:
    """Run one plan, or all of them; returns the exit code.

    Raises:
        UnknownNameError: no plan for this target.
    """
    console = Console(highlight=False)
    plans = [lookup("real target", target, PLANS)] if target else list(PLANS.values())
    data = os.environ.get("ZEUS_REAL_DATA")
    if not data:
        console.print("real: SKIPPED, ZEUS_REAL_DATA names no folder with real MRI", style="yellow")
        return 0
    out = CHECKOUT / "reports" / "real"
    for plan in plans:
        Run(plan, Path(data) / plan.target, out, console).run()
    page = write_results(out, CHECKOUT / "docs")
    console.print(f"real: wrote {page}")
    return 0


class Run:
    """One plan under way; `self.done` is what is written down."""

    def __init__(self, plan: Plan, studies: Path, out: Path, console: Console) -> None:
        self.plan, self.studies, self.console = plan, studies, console
        self.folder = out / plan.target
        self.path = self.folder / "results.json"
        self.target: Target = load_target(plan.target)
        self.recipe = {**RECIPE, **plan.recipe}
        self.began = time.monotonic()
        self.done: dict[str, Any] = {
            "target": plan.target,
            "plan": to_jsonable_python(plan),
            "train_s": plan.train_s,
            "recipe": self.recipe,
            "folds": [list(fold) for fold in plan.folds],
            "wall_s": 0.0,
            "runs": {},
        }
        if self.path.exists():
            known = json.loads(self.path.read_text(encoding="utf-8"))
            if known.get("plan") == self.done["plan"] and known["recipe"] == self.recipe:
                self.done = known  # else it is of another plan, and none of it counts

    def run(self) -> None:
        """Do what is not done yet."""
        self.began = time.monotonic()
        self.truths = dict(self._truths())
        for name, conf in self.plan.models().items():
            keys = [f"{name}|{fold}" for fold in range(len(self.plan.folds))]
            smoke = bool(self.plan.smoke) and name == "Zeus" and "smoke" not in self.done
            if smoke or any(key not in self.done["runs"] for key in keys):
                self._with_server(name, conf, smoke=smoke)
            if name == "Zeus" and len(self.target.labels) > 1 and "exchanged" not in self.done:
                self.done["exchanged"] = self._exchange(conf)
                self.keep()

    def _with_server(self, name: str, conf: dict[str, str], *, smoke: bool) -> None:
        self._say(f"{name}: starting a server")
        state = {"target": self.target.name, "state": str(self.folder / "state")}
        log = self.folder / "server.log"
        with ServerProcess(self.studies, {**state, **conf}, log=log) as server:
            if smoke:
                self.done["smoke"] = [self._smoke(server, s) for s in self.plan.smoke]
                self.keep()
            self._submit(server)
            for fold, judged in enumerate(self.plan.folds):
                key = f"{name}|{fold}"
                if key not in self.done["runs"]:
                    self.done["runs"][key] = self._fold(server, name, judged)
                    self.keep()

    def _fold(self, server: ServerProcess, name: str, judged: tuple[str, ...]) -> dict[str, Any]:
        cases = []
        if name == "Zeus":
            server.post("/zeus/checkpoints/untrained/serve")
            cases += [self._judge(server, study, "before") for study in judged]
        self._say(f"{name}: training, {', '.join(judged)} left out")
        began = time.monotonic()
        recipe = {**self.recipe, "time_budget_s": self._budget(name, judged),
                  "exclude": ",".join(judged)}  # fmt: skip
        checkpoint = server.train(recipe)
        seconds = time.monotonic() - began
        cases += [self._judge(server, study, "after") for study in judged]
        return {
            "model": name,
            "judged": list(judged),
            "learnt": checkpoint["studies"],
            "epochs": checkpoint["epochs"],
            "train_seconds": checkpoint["seconds"],
            "with_preparation_seconds": seconds,
            "cases": cases,
        }

    def _budget(self, name: str, judged: tuple[str, ...]) -> float:
        if name != "U-Net":
            return self.plan.train_s
        runs = self.done["runs"].values()
        zeus = next(run for run in runs if run["model"] == "Zeus" and run["judged"] == list(judged))
        return float(zeus["with_preparation_seconds"])

    def _judge(self, server: ServerProcess, study: str, phase: str) -> dict[str, Any]:
        answer = server.infer(study)
        truth = self.truths[study]
        masks = {"union": answer.mask}
        if len(answer.params["used"]) > 1 and answer.params["agreement"]:
            masks |= {name: server.sequence_mask(study, name) for name in answer.params["used"]}
        scores = {name: self._scores(mask, truth) for name, mask in masks.items()}
        shown = ", ".join(f"{name} {self._mean(score):.3f}" for name, score in scores.items())
        self._say(f"{study} {phase}: mean DSC {shown} ({answer.seconds:.0f} s)")
        params = answer.params
        return {
            "study": study,
            "phase": phase,
            "seconds": answer.seconds,
            "latencies_ms": params["latencies_ms"],
            "checkpoint": params["checkpoint"],
            "scores": scores,
        }

    def _exchange(self, conf: dict[str, str]) -> dict[str, list[float]]:
        """Ask for each label by the next one's name. Nothing else changes, so the text decides."""
        self._say("asking for each label by the next one's name")
        asked = self.folder / "exchanged.yaml"
        described = exchanged(self.target).model_dump(mode="json")
        write_text_atomically(asked, yaml.safe_dump(described, sort_keys=False))
        conf = {**conf, "target": str(asked), "state": str(self.folder / "state")}
        values = list(self.target.label_values.values())
        named, trained = [], []
        with ServerProcess(self.studies, conf, log=self.folder / "server.log") as server:
            for study in self.plan.folds[-1]:  # the fold whose checkpoint is served
                mask = server.infer(study).mask
                truth = to_grid(self.truths[study], mask.grid, order=0, fill=0.0).array
                for value, next_one in zip(values, [*values[1:], values[0]], strict=True):
                    named.append(dice(mask.array == value, truth == next_one))
                    trained.append(dice(mask.array == value, truth == value))
        self._say(
            f"mean DSC with the label named {np.mean(named):.3f},"
            f" with the one trained under that number {np.mean(trained):.3f}"
        )
        return {"named": named, "trained": trained}

    def _scores(self, mask: Volume, truth: Volume) -> dict[str, Any]:
        found = mask.array.astype(np.uint8)
        wanted = to_grid(truth, mask.grid, order=0, fill=0.0).array.astype(np.uint8)
        values = list(self.target.label_values.values())
        return {
            "dsc": {
                label.name: dice(found == label.value, wanted == label.value)
                for label in self.target.labels
            },
            "iou": {
                label.name: iou(found == label.value, wanted == label.value)
                for label in self.target.labels
            },
            "miou": miou(found, wanted, values),
            "miou_with_background": miou_with_background(found, wanted, values),
        }

    @staticmethod
    def _mean(score: Mapping[str, Any]) -> float:
        return float(np.mean(list(score["dsc"].values())))

    def _smoke(self, server: ServerProcess, study: str) -> dict[str, Any]:
        answer = server.infer(study)
        self._say(f"{study}: smoke, {answer.seconds:.0f} s, used {answer.params['used']}")
        kept = ("used", "missing", "checkpoint", "volumes_ml", "latencies_ms", "notes")
        return {
            "study": study,
            "seconds": answer.seconds,
            "shape": list(answer.mask.array.shape),
            **{name: answer.params[name] for name in kept},
        }

    def _submit(self, server: ServerProcess) -> None:
        """Hand in every label once; which are learnt from is said with each training."""
        known = {n for n, s in server.get("/zeus/studies")["studies"].items() if s["labelled"]}
        names = self.target.label_values
        with tempfile.TemporaryDirectory() as scratch:
            for study in sorted(set(self.truths) - known):
                path = Path(scratch) / f"{study}.nii.gz"
                write_label(path, self.truths[study], names=names)
                server.client.save_label(study, str(path), params={})

    def _truths(self) -> Iterator[tuple[str, Volume]]:
        """The human labels; a study without one is only smoke."""
        for found in find_masks(self.studies, self.target):
            if isinstance(found, StudyProblem):
                continue
            if found.study_id not in self.plan.smoke:
                yield found.study_id, found.volume
        if not self.studies.is_dir():
            raise InputError(
                f"no folder {self.studies}",
                expected="the folders of ZEUS_REAL_DATA's README",
                remedy="set ZEUS_REAL_DATA to where they lie",
            )

    def keep(self) -> None:
        """Write down what was done."""
        now = time.monotonic()
        self.done["wall_s"] += now - self.began
        self.began = now
        write_text_atomically(self.path, json.dumps(self.done, indent=1))

    def _say(self, text: str) -> None:
        self.console.print(f"real {self.plan.target}: {text}", markup=False)
