"""One run: train on patients of a fold for a given time, and judge the held-back patients."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.quality.runs import Idea, RunKey
from zeus_app.bench.cohorts import training_order
from zeus_app.bench.memory import peak_mib, restart_peak
from zeus_app.bench.provenance import code_version
from zeus_app.bench.scores import picture_spacing_mm, score, subsets, with_sequences
from zeus_app.bench.training import refuse_other_weights, train
from zeus_app.build import build_segmenter
from zeus_app.commands.real.plans import Plan
from zeus_app.errors import InputError
from zeus_app.models.net import ReadOutNet
from zeus_app.pipeline.plugins import learner_of
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.progress import Report
from zeus_app.server.tasks.train_request import train_config
from zeus_app.settings.config import TrainConfig, ZeusConfig
from zeus_app.storage.state import state_folder
from zeus_app.training.cases import Case
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.training.evaluator import Evaluator
from zeus_app.training.preparation import prepare_cases
from zeus_app.training.setup import TrainingSetup
from zeus_app.types import LabelledStudy

SLICES_AT_ONCE = 4
OF_TEXTS = ("projector.", "lora.")
"""Weights that the LLM's texts depend on. They stay the same in all seeds, as the texts do."""


def fold_patients(plan: Plan, fold: int, *, patients: int) -> tuple[str, ...]:
    """The training studies of a fold, in an order that differs from fold to fold.

    Args:
        plan: its folds hold one study a patient.
        fold: number of the fold.
        patients: take the first of them only; 0 for all.

    Returns:
        The studies of the next fold first, and so on, so that few patients are not always the same.
    """
    names = training_order(plan.folds, fold)
    if patients > len(names):
        raise InputError(
            f"{patients} training patients on {plan.target}",
            expected=f"at most {len(names)} in fold {fold}, or 0 for all",
            remedy=f"send --train-patients {len(names)}",
        )
    return names[: patients or None]


FIRST_LOOK = "all sequences, first look alone"
"""Name of the scores without the second look, among those of the subsets."""


@contextmanager
def without_second_look(net: nn.Module) -> Iterator[bool]:
    """Within this context no label is drawn again. Yields whether one would be."""
    if not isinstance(net, ReadOutNet):
        yield False
        return
    chosen = net.second_look.clone()
    net.second_look.zero_()
    try:
        yield bool(chosen.any())
    finally:
        net.second_look.copy_(chosen)


@dataclass(frozen=True, eq=False)
class Experiment:
    """An idea on the studies of a plan.

    Attributes:
        plan: sequences and folds.
        idea: what differs from the plan's Zeus.
        studies: id -> labelled study.
        segmenter: the idea's model.
        config: the segmenter's settings.
        folder: of the studies; the state folder is `config.state`.
    """

    plan: Plan
    idea: Idea
    studies: Mapping[str, LabelledStudy]
    segmenter: Segmenter
    config: ZeusConfig
    folder: Path

    def prepare(self, report: Report) -> dict[str, Case]:
        """All studies of the plan's folds, through the frozen towers and the cache.

        Raises:
            InputError: a study is missing, or cannot be used.
        """
        names = [study for fold in self.plan.folds for study in fold]
        missing = [name for name in names if name not in self.studies]
        studies = [self.studies[name] for name in names if name not in missing]
        cases, skipped = prepare_cases(self.segmenter.training, studies, report=report)
        if missing or skipped:
            raise InputError(
                f"{self.plan.target}: no labelled {', '.join(missing)}{_reasons(skipped)}",
                expected="every study of the plan's folds, each with a mask beside it",
                remedy="set ZEUS_REAL_DATA to the folder that docs/quality.md describes",
            )
        return cases

    def run(
        self,
        key: RunKey,
        cases: Mapping[str, Case],
        *,
        epochs: int | None = None,
        every_subset: bool,
        report: Report,
    ) -> dict[str, Any]:
        """Train, judge, and return what is stored of the run.

        Args:
            key: fold, seed, seconds and number of patients.
            cases: what `prepare` returned. A model may keep more of them in memory with each fold.
            epochs: end after these instead of the key's seconds.
            every_subset: judge every subset of the sequences too.
            report: called after every step, in seconds, and for every judged study.
        """
        judged = self.plan.folds[key.fold]
        learnt = fold_patients(self.plan, key.fold, patients=key.patients)
        restart_peak()
        with tempfile.TemporaryDirectory() as scratch:
            setup = replace(
                self.segmenter.training,
                checkpoints=Checkpoints(Path(scratch)),
                split_path=Path(scratch) / "splits.json",
                initial_state=self._initial_state(key.seed),
            )
            config = self._recipe(key, epochs)
            training = self._train(setup, config, [cases[name] for name in learnt], report)
        return {
            **asdict(key),
            "settings": dict(self.idea.settings),
            "recipe": dict(self.idea.recipe),
            "learnt": list(learnt),
            "judged": list(judged),
            **training,
            **self._judge(setup, {name: cases[name] for name in judged}, every_subset, report),
            "peak_mib": peak_mib(),
            "code": code_version(),
            "threads": torch.get_num_threads(),
        }

    def _train(
        self, setup: TrainingSetup, config: TrainConfig, cases: Sequence[Case], report: Report
    ) -> dict[str, Any]:
        """Leave the trained weights in the model, as a server would serve them."""
        training = train(setup, config, cases, self.studies, report=report)
        return {
            "steps": training.steps,
            "step_s": training.step_s,
            "epochs": len(training.epochs),
            "trained_s": training.seconds,
            "calibrated_s": training.calibrated_s,
        }

    def _recipe(self, key: RunKey, epochs: int | None) -> TrainConfig:
        end = {"time_budget_s": key.seconds} if epochs is None else {"epochs": epochs}
        own = {"seed": key.seed, "resume": False, "time_budget_s": 0, **end}
        config = train_config({**self.idea.recipe, **own}, learner_of(self.config))
        refuse_other_weights(config)
        return config

    def _judge(
        self, setup: TrainingSetup, cases: Mapping[str, Case], every_subset: bool, report: Report
    ) -> dict[str, Any]:
        setup.model.trainable.eval()
        evaluator = Evaluator(setup, SLICES_AT_ONCE)
        labels = setup.target.label_names
        sequences = setup.target.sequence_names
        by_case, by_subset = {}, dict[str, dict[str, Any]]()
        for done, (name, case) in enumerate(cases.items()):
            report("judging", done, len(cases))
            spacing_mm = picture_spacing_mm(self.studies[name])
            began = time.monotonic()
            label_map = evaluator.label_map(case)
            seconds = time.monotonic() - began
            by_case[name] = {"seconds": seconds, **score(label_map, case, labels, spacing_mm)}
            for chosen in subsets(sequences) if every_subset else ():
                label_map = evaluator.label_map(with_sequences(case, sequences, chosen))
                scores = score(label_map, case, labels, spacing_mm)
                by_subset.setdefault("+".join(chosen), {})[name] = scores
            with without_second_look(setup.model.trainable) as had_one:
                if had_one:
                    scores = score(evaluator.label_map(case), case, labels, spacing_mm)
                    by_subset.setdefault(FIRST_LOOK, {})[name] = scores
        report("judging", len(cases), len(cases))
        return {"cases": by_case, "subsets": by_subset}

    def _initial_state(self, seed: int) -> dict[str, torch.Tensor]:
        """The weights before any training. Other seeds draw other ones, with the same texts."""
        initial = dict(self.segmenter.training.initial_state)
        if seed == self.config.seed:
            return initial
        config = self.config.model_copy(update={"seed": seed})
        drawn = build_segmenter(
            config, state_folder(config, target=self.plan.target, studies=self.folder)
        ).training.initial_state
        return {n: initial[n] if n.startswith(OF_TEXTS) else value for n, value in drawn.items()}


def open_experiment(
    plan: Plan, idea: Idea, studies: Sequence[LabelledStudy], *, folder: Path, state: Path
) -> Experiment:
    """Build the model of an idea.

    Args:
        plan: sequences and folds.
        idea: settings that differ from those of the plan's Zeus.
        studies: the labelled studies.
        folder: of the studies.
        state: the state folder, for its cache.

    Raises:
        InputError: a setting is unknown or invalid.
    """
    conf = {**plan.models()["Zeus"], **idea.settings}
    config = ZeusConfig.from_conf({**conf, "target": plan.target, "state": str(state)})
    segmenter = build_segmenter(config, state_folder(config, target=plan.target, studies=folder))
    by_id = {study.id: study for study in studies}
    return Experiment(plan, idea, by_id, segmenter, config, folder)


def _reasons(skipped: Mapping[str, str]) -> str:
    return "".join(f"; {name}: {reason}" for name, reason in skipped.items())
