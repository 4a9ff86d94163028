"""Learning after one case: a few seconds of steps, then a check against the served weights."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from zeus_app.progress import Report, silent
from zeus_app.settings.config import TrainConfig
from zeus_app.training.cases import Case, draw_weights
from zeus_app.training.checkpoint import (
    LEARNING,
    OTHER_WORK_ENDS_S,
    UNTRAINED,
    CheckpointInfo,
)
from zeus_app.training.evaluator import Evaluator
from zeus_app.training.preparation import check_space, prepare_cases
from zeus_app.training.quick_check import QuickCheck, held_back, quick_check
from zeus_app.training.setup import TrainingSetup
from zeus_app.training.splits import read_sides, split_studies
from zeus_app.training.steps import Steps
from zeus_app.types import LabelledStudy

LEARNING_RATE_SHARE = 0.1
"""Learning rate of the steps on served weights, as a share of the recipe's first one.

Measured on abdomen MRI (T2-SPIR, four patients learnt in 150 s, then 10 s on a fifth, two of them
in turn): with 0.1 the new case gained 0.009 and 0.065 and two patients never seen stayed the same
or gained; with 0.3 the new case gained as much, and one of those patients lost up to 0.19.
"""
WARM_UP_STEPS = 5
"""Steps until the full learning rate, because Adam's first estimates of gradients are poor."""
_WARM_UP_PROGRESS = 0.5  # of the schedule; it stays there after the warm-up

TOLERANCE = 0.005
"""A version whose check is lower by more than this is worse: smaller differences are noise.

Recipes of this project are compared with the same bound.
"""


class NotLearntError(Exception):
    """There is nothing to learn from a case; the message is the reason."""


class SupersededError(Exception):
    """Another version was served during the steps, so the case must be learnt again from it."""


@dataclass(frozen=True)
class Refinement:
    """The result of learning after one case. Its fields are keys of GET /zeus/learning.

    Attributes:
        study: id of the case.
        parent: version that the steps started from, or "untrained".
        version: the new version; "" if none was stored.
        served: whether the new version is served.
        reason: why the version is served, waits, or was not stored.
        score_before: DSC of the parent on the held-back slices, in [0, 1]; None without a check.
        score_after: the same of the new weights.
        checked_slices: number of held-back slices that were compared.
        steps: number of optimiser steps.
        seconds: duration, with the preparation of the cases and the check.
    """

    study: str
    parent: str
    version: str = ""
    served: bool = False
    reason: str = ""
    score_before: float | None = None
    score_after: float | None = None
    checked_slices: int = 0
    steps: int = 0
    seconds: float = 0.0


class Refiner:
    """Learns from one case after another, and keeps their prepared cases in memory.

    Args:
        setup: the model, its checkpoints and the settings of every training.
        recipe: the recipe of a training without parameters. Batch, losses, augmentation and
            validation fraction are taken from it.
    """

    def __init__(self, setup: TrainingSetup, recipe: TrainConfig) -> None:
        self._setup, self._recipe = setup, recipe
        self._kept: dict[str, tuple[LabelledStudy, Case]] = {}
        self._kept_for: set[str] = set()  # versions whose weights prepare cases in the same way
        self._pins = ExitStack()

    def refine(
        self,
        studies: Sequence[LabelledStudy],
        newest: str,
        *,
        seconds: float,
        serve: bool,
        report: Report = silent,
    ) -> Refinement:
        """Take steps on the newest case and all others; store the weights if the check passes.

        Args:
            studies: all labelled studies. An object that was handed in before is not read again.
            newest: id of the study whose label was just submitted.
            seconds: duration of the steps. At least one step is taken.
            serve: False stores a version that passes the check without serving it.
            report: called before each study and each step; may raise CancelledError.

        Raises:
            InputError: the studies cannot be split or encoded, or the losses are not finite.
            SupersededError: another version was served meanwhile. Nothing is stored.
            LockedError: a training writes the same checkpoints.
        """
        with self._setup.checkpoints.lock.hold(LEARNING, wait_s=OTHER_WORK_ENDS_S):
            return self._refine(studies, newest, seconds, serve=serve, report=report)

    def _refine(
        self,
        studies: Sequence[LabelledStudy],
        newest: str,
        seconds: float,
        *,
        serve: bool,
        report: Report,
    ) -> Refinement:
        began = time.monotonic()
        parent = self._setup.checkpoints.served()
        try:
            learning = self._prepare({study.id: study for study in studies}, newest, parent, report)
        except NotLearntError as error:
            result = Refinement(newest, _version(parent), reason=str(error))
        else:
            result = learning.run(seconds, serve=serve, report=report)
            self._kept_for.add(result.version or result.parent)
        return replace(result, seconds=time.monotonic() - began)

    def _prepare(
        self,
        studies: Mapping[str, LabelledStudy],
        newest: str,
        parent: CheckpointInfo | None,
        report: Report,
    ) -> "_Learning":
        """Load the parent's weights and prepare the cases.

        Raises:
            NotLearntError: the newest study has no label, is held back, or cannot be used.
        """
        if newest not in studies:
            raise NotLearntError("the study has no final label any more")
        config = refinement_recipe(self._recipe, parent)
        validation = self._held_back_patients(studies, config, parent)
        patient = studies[newest].patient
        if patient in validation:
            raise NotLearntError(f"patient {patient} is held back to validate trainings")
        learnable = [study for study in studies.values() if study.patient not in validation]
        cases, skipped = self._cases(learnable, _version(parent), report)
        if newest in skipped:
            raise NotLearntError(skipped[newest])
        return _Learning(
            setup=self._setup,
            config=config,
            parent=parent,
            newest=cases[newest],
            others=tuple(case for name, case in cases.items() if name != newest),
            patients={study.patient for study in learnable if study.id in cases},
            skipped=skipped,
        )

    def _held_back_patients(
        self,
        studies: Mapping[str, LabelledStudy],
        config: TrainConfig,
        parent: CheckpointInfo | None,
    ) -> set[str]:
        """Patients on the validation side; new patients are given a side first.

        A patient that the parent was trained on validates nothing any more, and counts as trained.
        """
        path = self._setup.split_path
        if config.validation_fraction:
            split_studies(studies, path, fraction=config.validation_fraction, seed=config.seed)
        validation = {name for name, side in read_sides(path).items() if side == "validation"}
        return validation - set(parent.patients if parent else ())

    def _cases(
        self, studies: Sequence[LabelledStudy], version: str, report: Report
    ) -> tuple[dict[str, Case], dict[str, str]]:
        """Load a version, and prepare the studies that are not kept.

        A projection that a training has learnt changes the instructions. So cases are kept for the
        version that prepared them and for those that were made from it here.

        Returns:
            study id -> case, and study id -> reason why it was skipped.
        """
        setup = self._setup
        setup.load(version)
        if version not in self._kept_for:
            self._pins.close()
            self._pins.enter_context(setup.model.pin_embeddings())
            self._kept, self._kept_for = {}, {version}
        new = [study for study in studies if self._kept_case(study) is None]
        if new:
            check_space(setup, studies)
        prepared, skipped = prepare_cases(setup, new, report=report)
        for study in new:
            if study.id in prepared:
                self._kept[study.id] = study, prepared[study.id]
        cases = {study.id: case for study in studies if (case := self._kept_case(study))}
        return cases, skipped

    def _kept_case(self, study: LabelledStudy) -> Case | None:
        known, case = self._kept.get(study.id, (None, None))
        return case if known is study else None


@dataclass(frozen=True, eq=False)
class _Learning:
    """The steps on one case, and the decision about the new weights. The parent is loaded."""

    setup: TrainingSetup
    config: TrainConfig
    parent: CheckpointInfo | None
    newest: Case
    others: tuple[Case, ...]
    patients: set[str]
    skipped: Mapping[str, str]

    def run(self, seconds: float, *, serve: bool, report: Report) -> Refinement:
        """Check, learn, check again, decide."""
        result = Refinement(self.newest.id, _version(self.parent))
        check = quick_check(self.newest, self.others)
        if not check.slices:
            return replace(result, reason="no slice is left to check the new weights on")
        began = time.monotonic()
        model, cases = self.setup.model, (self.newest, *self.others)
        if self.parent is None:
            model.calibrate([case.prepared for case in cases])
        before = self._score(check)
        steps = self._learn(seconds, report)
        result = replace(
            result,
            score_before=before,
            score_after=self._score(check),
            checked_slices=check.slices,
            steps=steps,
            seconds=time.monotonic() - began,
        )
        return self._decide(result, serve=serve)

    def _score(self, check: QuickCheck) -> float:
        """DSC of the first look: the steps change it alone, and the second takes far longer."""
        self.setup.model.trainable.eval()
        return check.score(Evaluator(self.setup, self.config.batch_slices, second_look=False))

    def _learn(self, seconds: float, report: Report) -> int:
        """Take steps for so many seconds, at least one; returns their number."""
        cases = (self.newest, *self.others)
        steps, rng = Steps(self.setup, cases, self.config), np.random.default_rng(self.config.seed)
        newest = _Slices(cases, [0], self.config.foreground)
        others = _Slices(cases, range(1, len(cases)), self.config.foreground)
        replayed = self.config.batch_slices // 2 if self.others else 0
        self.setup.model.trainable.train()
        done, began = 0, time.monotonic()
        while done == 0 or time.monotonic() - began < seconds:
            report("learning", done, 0)
            done += 1
            steps.follow_schedule(_WARM_UP_PROGRESS * min(1, done / WARM_UP_STEPS))
            picks = newest.draw(self.config.batch_slices - replayed, rng)
            steps.train_step([*picks, *others.draw(replayed, rng)], rng)
        return done

    def _decide(self, result: Refinement, *, serve: bool) -> Refinement:
        """Store the new weights unless the check finds them worse."""
        before, after = result.score_before, result.score_after
        assert before is not None, "_learn comes first"
        assert after is not None, "_learn comes first"
        scores = f"DSC {before:.3f} before, {after:.3f} after, on {result.checked_slices} slices"
        if after < before - TOLERANCE:
            return replace(result, reason=f"worse, so not stored: {scores}")
        if _version(self.setup.checkpoints.served()) != result.parent:
            raise SupersededError
        net = self.setup.model.trainable
        weights = {name: value.detach().cpu().clone() for name, value in net.state_dict().items()}
        info = self._info(result, scores)
        version = self.setup.checkpoints.publish(weights, info, serve=serve).version
        reason = scores if serve else f"{scores}; POST /zeus/checkpoints/{version}/serve serves it"
        return replace(result, version=version, served=serve, reason=reason)

    def _info(self, result: Refinement, scores: str) -> CheckpointInfo:
        studies, patients = (self.parent.studies, self.parent.patients) if self.parent else ((), ())
        learnt = {case.id for case in (self.newest, *self.others)}
        return CheckpointInfo(
            version="",
            created="",
            epoch=0,
            score=None,
            studies=tuple(sorted({*learnt, *studies})),
            patients=tuple(sorted({*self.patients, *patients})),
            validation=(),
            fitted_to=self.setup.fitted_to,
            parent=result.parent,
            left_out=dict(self.skipped),
            note=f"learnt after {result.study}: {result.steps} steps; {scores}",
            settings=self.config.model_dump(mode="json"),
            seconds=result.seconds,
        )


class _Slices:
    """The slices of some cases that steps may draw; those of the check are left out."""

    def __init__(self, cases: Sequence[Case], indices: Sequence[int], foreground: float) -> None:
        self._picks = [
            (index, s)
            for index in indices
            for s in cases[index].tissue_slices
            if s not in held_back(cases[index])
        ]
        shows = np.array([cases[index].shows[s].any() for index, s in self._picks], bool)
        self._weights = draw_weights(shows, foreground)

    def draw(self, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        """Draw (case, slice) picks, with repetitions."""
        if not count:
            return []
        chosen = rng.choice(len(self._picks), size=count, p=self._weights)
        return [self._picks[i] for i in chosen]


def refinement_recipe(recipe: TrainConfig, parent: CheckpointInfo | None) -> TrainConfig:
    """The recipe of the steps: a constant learning rate, lower on trained weights.

    Args:
        recipe: the recipe of a training without parameters.
        parent: the served version, or None. Its training's share of held-back patients is kept.
    """
    fraction = parent.settings.get("validation_fraction") if parent else None
    return recipe.model_copy(
        update={
            "learning_rate": recipe.learning_rate * (LEARNING_RATE_SHARE if parent else 1),
            "poly_power": 0,
            "warm_up": _WARM_UP_PROGRESS,
            "sequence_loss_first": recipe.sequence_loss if parent else recipe.sequence_loss_first,
            "validation_fraction": recipe.validation_fraction if fraction is None else fraction,
            "start": "served" if parent else "scratch",
        }
    )


def _version(info: CheckpointInfo | None) -> str:
    return info.version if info else UNTRAINED
