"""One job: prepare its patients, train the model, judge it, and return the row."""

import json
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from zeus_app.bench.cohorts import Patients, open_patients
from zeus_app.bench.jobs import Job
from zeus_app.bench.memory import peak_mib, restart_peak
from zeus_app.bench.pictures import save_slice
from zeus_app.bench.preparation import Preparation, PreparedCase
from zeus_app.bench.provenance import machine, versions
from zeus_app.bench.row import DONE, identity
from zeus_app.bench.scores import picture_spacing_mm, score, subsets, with_sequences
from zeus_app.bench.training import Training, refuse_other_weights, train
from zeus_app.build import build_segmenter
from zeus_app.describe import describe
from zeus_app.pipeline.plugins import PLUGIN, learner_of
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.profiles import load_profile
from zeus_app.progress import Report
from zeus_app.settings.config import TrainConfig, ZeusConfig
from zeus_app.settings.recipes import with_recipe
from zeus_app.storage.state import state_folder
from zeus_app.targets import target_of
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.training.evaluator import Evaluator
from zeus_app.training.setup import TrainingSetup
from zeus_app.types import MIB, LabelledStudy

SLICES_AT_ONCE = 4


@dataclass(frozen=True)
class Request:
    """What a job needs besides its own settings.

    Attributes:
        job: the job.
        work: folder for caches.
        data: folder of the downloaded dataset, or None.
        pictures: folder for one slice of each judged case, or None for none.
        shard: keeps the caches of several processes apart.
    """

    job: Job
    work: Path
    data: Path | None = None
    pictures: Path | None = None
    shard: str = ""

    def as_json(self) -> str:
        """One line of JSON."""
        paths = {name: str(path) for name in ("work", "data", "pictures")
                 if (path := getattr(self, name)) is not None}  # fmt: skip
        return json.dumps({"job": self.job.model_dump(mode="json"), "shard": self.shard, **paths})

    @classmethod
    def of_json(cls, line: str) -> "Request":
        """Read `as_json`."""
        values: dict[str, Any] = json.loads(line)
        paths = {name: Path(values[name]) for name in ("data", "pictures") if name in values}
        job = Job.model_validate(values["job"])
        return cls(job, Path(values["work"]), shard=values["shard"], **paths)


def run_job(request: Request, report: Report) -> dict[str, Any]:
    """Run a job.

    Returns:
        Its row: what was measured, and what it was measured with.

    Raises:
        InputError: the patients, the weights or the settings are not usable.
    """
    job, began = request.job, time.monotonic()
    preparation = Preparation(request.work, job, shard=request.shard)
    config = ZeusConfig.from_conf(
        {**job.conf, "target": job.cohort.target, "seed": str(job.seed),
         "state": str(preparation.state)}
    )  # fmt: skip
    recipe = recipe_of(job, config)
    patients = open_patients(job, request.data)
    segmenter = build_segmenter(
        config, state_folder(config, target=job.cohort.target, studies=request.work)
    )
    built_s = time.monotonic() - began
    restart_peak()
    with segmenter.model.pin_embeddings(), tempfile.TemporaryDirectory() as scratch:
        setup = replace(
            segmenter.training,
            checkpoints=Checkpoints(Path(scratch)),
            split_path=Path(scratch) / "splits.json",
        )
        run = _Run(request, segmenter, setup, preparation, patients)
        measured = run.measure(recipe, report)
    return {
        **identity(job),
        "status": DONE,
        "settings": recipe.model_dump(mode="json"),
        "learnt": [study.id for study in patients.learn],
        "built_s": built_s,
        **measured,
        **parameters(segmenter, config),
        "peak_mib": peak_mib(),
        "peak_gpu_mib": _peak_gpu_mib(),
        "versions": versions(),
        "machine": machine(),
        "wall_s": time.monotonic() - began,
    }


def recipe_of(job: Job, config: ZeusConfig) -> TrainConfig:
    """The model's own recipe, with the suite's changes, the job's seed and its seconds.

    Raises:
        InputError: the suite asks for what one training from scratch cannot be.
    """
    fixed = {"seed": str(job.seed), "resume": "false", "time_budget_s": str(job.seconds)}
    recipe = with_recipe({**job.recipe, **fixed}, learner_of(config))
    refuse_other_weights(recipe)
    return recipe


def parameters(segmenter: Segmenter, config: ZeusConfig) -> dict[str, int]:
    """Parameters that are trained, and all of the model with its frozen towers.

    The towers of a plugin's model are not known.
    """
    weights = list(segmenter.model.trainable.parameters())
    trained = sum(each.numel() for each in weights if each.requires_grad)
    if learner_of(config) == PLUGIN:
        total = sum(each.numel() for each in weights)
    else:
        rows = describe(config, load_profile(config.profile), target_of(config))
        total = sum(row.parameters for row in rows)
    return {"trained_parameters": trained, "total_parameters": total}


@dataclass(frozen=True, eq=False)
class _Run:
    """The measurements of one job."""

    request: Request
    segmenter: Segmenter
    setup: TrainingSetup
    preparation: Preparation
    patients: Patients

    def measure(self, recipe: TrainConfig, report: Report) -> dict[str, Any]:
        job = self.request.job
        learnt = self.preparation.prepare(self.setup, self.patients.learn, report)
        cases = [each.case for each in learnt.values()]
        prepared_s = sum(each.seconds for each in learnt.values())
        studies = {study.id: study for study in self.patients.learn}
        training = train(self.setup, recipe, cases, studies, prepared_s=prepared_s, report=report)
        slices = sum(len(case.tissue_slices) for case in cases)
        figures = {
            "preparation_s": prepared_s,
            **_figures_of(training),
            "epoch_s": _epoch_s(training, slices, recipe),
        }
        if job.measure == "speed":
            return {**figures, "cases": {}, "subsets": {}}
        del cases, learnt
        judged = self.preparation.prepare(self.setup, self.patients.judged, report)
        return {**figures, **self._judge(judged, report)}

    def _judge(self, judged: Mapping[str, PreparedCase], report: Report) -> dict[str, Any]:
        self.setup.model.trainable.eval()
        evaluator = Evaluator(self.setup, SLICES_AT_ONCE)
        cases, by_subset = {}, dict[str, dict[str, Any]]()
        for done, study in enumerate(self.patients.judged):
            report("judging", done, len(judged))
            prepared = judged[study.id]
            cases[study.id] = {
                "patient": study.patient,
                "preparation_s": prepared.seconds,
                **self._score(evaluator, study, prepared, keep=True),
            }
            for chosen in self._subsets():
                scores = self._score(evaluator, study, prepared, chosen=chosen)
                by_subset.setdefault("+".join(chosen), {})[study.id] = scores
        report("judging", len(judged), len(judged))
        return {"cases": cases, "subsets": by_subset}

    def _subsets(self) -> list[tuple[str, ...]]:
        sequences = self.setup.target.sequence_names
        return list(subsets(sequences)) if self.request.job.every_subset else []

    def _score(
        self,
        evaluator: Evaluator,
        study: LabelledStudy,
        prepared: PreparedCase,
        *,
        chosen: Sequence[str] = (),
        keep: bool = False,
    ) -> dict[str, Any]:
        target = self.setup.target
        case = prepared.case
        if chosen:
            case = with_sequences(case, target.sequence_names, chosen)
        began = time.monotonic()
        label_map = evaluator.label_map(case)
        seconds = time.monotonic() - began
        folder = self.request.pictures
        if keep and folder is not None:
            save_slice(folder / f"{study.id}.npz", study, target, case, label_map)
        scores = score(label_map, case, target.label_names, picture_spacing_mm(study))
        return {"seconds": seconds, **scores}


def _figures_of(training: Training) -> dict[str, Any]:
    curve = [[epoch.seconds, epoch.loss, epoch.score] for epoch in training.epochs]
    values = asdict(training)
    return {
        **{name: values[name] for name in ("steps", "step_s", "calibrated_s")},
        "training_s": training.seconds,
        "training_wall_s": training.wall_s,
        "epochs": len(training.epochs),
        "curve": curve,
    }


def _epoch_s(training: Training, slices: int, recipe: TrainConfig) -> float | None:
    if training.step_s is None:
        return None
    return training.step_s * math.ceil(slices / recipe.batch_slices)


def _peak_gpu_mib() -> float | None:
    return torch.cuda.max_memory_allocated() / MIB if torch.cuda.is_available() else None
