"""A training from labelled studies to a published checkpoint: studies -> cases -> Trainer."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from zeus_app.errors import InputError
from zeus_app.progress import Report, silent
from zeus_app.protocols import LearnsProjection
from zeus_app.settings.config import TrainConfig
from zeus_app.training.cases import TrainingCases
from zeus_app.training.checkpoint import (
    OTHER_WORK_ENDS_S,
    TRAINING,
    UNTRAINED,
    CheckpointInfo,
    Checkpoints,
)
from zeus_app.training.loop import Origin, Progress, Trainer, TrainResult, ignore_progress
from zeus_app.training.preparation import check_space, prepare_cases
from zeus_app.training.setup import TrainingSetup
from zeus_app.training.splits import Split, split_studies
from zeus_app.types import LabelledStudy


def fit(
    setup: TrainingSetup,
    studies: Sequence[LabelledStudy],
    config: TrainConfig,
    *,
    report: Report = silent,
    progress: Progress = ignore_progress,
) -> TrainResult:
    """Train on labelled studies. The best weights are published and served.

    Args:
        setup: the model, its checkpoints and the settings of every training.
        studies: studies with labels, on any grid of theirs.
        config: the recipe. Studies that it excludes are left out.
        report: called while studies are prepared.
        progress: called after every training batch and every validated study.

    Raises:
        InputError: nothing to learn from, too little disk space for the embeddings, or settings
            that contradict each other.
        LockedError: another training writes the same checkpoints.
    """
    chosen = {study.id: study for study in studies if study.id not in config.excluded}
    check_space(setup, chosen.values())
    lock = setup.checkpoints.lock.hold(TRAINING, wait_s=OTHER_WORK_ENDS_S)
    with lock, setup.model.pin_embeddings():
        split = split_studies(
            chosen, setup.split_path, fraction=config.validation_fraction, seed=config.seed
        )
        return Fitter(setup, chosen, split, report, progress).fit(config)


@dataclass(frozen=True, eq=False)
class Fitter:
    """One training: which version it starts from, and what it learns first.

    Attributes:
        setup: the model, its checkpoints and the settings of every training.
        studies: study id -> labelled study.
        split: ids of the studies to train on and to validate on.
        report: called while studies are prepared.
        progress: called after every training batch and every validated study.
    """

    setup: TrainingSetup
    studies: Mapping[str, LabelledStudy]
    split: Split
    report: Report
    progress: Progress

    def fit(self, config: TrainConfig) -> TrainResult:
        """Train, and publish the best weights.

        Raises:
            InputError: nothing to learn from, or settings that contradict each other.
        """
        setup = self.setup
        parent = self._parent() if config.start == "served" else None
        version = parent.version if parent else UNTRAINED
        ancestors = [parent] if parent else []
        setup.load(version)
        if config.projection_share:
            projection = self._learn_projection(config, parent)
            setup.load(version)
            weights = self._projections.load(projection.version, trained_with={})
            self._projecting.take_projection(weights)
            ancestors.append(projection)
            config = part_of(config, 1 - config.projection_share)
        began = time.monotonic()
        cases = self._cases()
        if parent is None:
            setup.model.calibrate([case.prepared for case in cases.train])
        self.report("prepared studies", len(cases.train), len(cases.train))
        cases = replace(cases, prepare_seconds=time.monotonic() - began)
        origin = self._origin(cases, version, ancestors)
        return Trainer(setup, cases, config, origin=origin, progress=self.progress).fit()

    def _parent(self) -> CheckpointInfo | None:
        """The served version; None if none is served.

        Raises:
            InputError: the version was trained on a patient who is held back now.
        """
        served = self.setup.checkpoints.served()
        if served is None:
            return None
        held_back = {self.studies[study_id].patient for study_id in self.split.validation}
        known = held_back & self._patients(served)
        if known:
            raise InputError(
                f"start=served, but {served.version} was trained on {', '.join(sorted(known))},"
                " whose studies would validate this training",
                expected="a version that was not trained on the held-back patients",
                remedy="set start to scratch, or validation_fraction to 0",
            )
        return served

    def _cases(self) -> TrainingCases:
        cases, skipped = prepare_cases(self.setup, self.studies.values(), report=self.report)
        train = [cases[study_id] for study_id in self.split.train if study_id in cases]
        if not train:
            raise InputError(
                f"no labelled study to learn from ({len(self.studies)} after exclusions;"
                f" {'; '.join(skipped.values()) or 'none unusable'})",
                expected="at least one study with a submitted label",
                remedy="submit a label, or run `zeus import-labels`",
            )
        validation = [cases[study_id] for study_id in self.split.validation if study_id in cases]
        unvalidated = self.split.unvalidated
        if self.split.validation and not validation:
            reasons = "; ".join(f"{name}: {skipped[name]}" for name in self.split.validation)
            unvalidated = f"no held-back study can be used ({reasons})"
        return TrainingCases(train, validation, skipped, unvalidated)

    def _origin(
        self, cases: TrainingCases, parent: str, ancestors: Sequence[CheckpointInfo]
    ) -> Origin:
        """The origin of weights that were taken from `ancestors`, the parent among them."""
        patients = {self.studies[case.id].patient for case in cases.train}
        return Origin(
            parent=parent,
            ancestors=tuple(study for version in ancestors for study in version.studies),
            patients=tuple(sorted(patients.union(*map(self._patients, ancestors)))),
        )

    def _patients(self, version: CheckpointInfo) -> set[str]:
        """Patients that a version was trained on: as recorded then, and as its studies say now."""
        trained_on = (self.studies[name].patient for name in version.studies
                      if name in self.studies)  # fmt: skip
        return {*version.patients, *trained_on}

    @property
    def _projections(self) -> Checkpoints:
        return Checkpoints(self.setup.checkpoints.folder / "projection")

    @property
    def _projecting(self) -> LearnsProjection:
        model = self.setup.model
        if isinstance(model, LearnsProjection):
            return model
        raise InputError(
            f"projection_share for a {type(model).__name__}",
            expected="a model with a projection from pictures to an LLM, such as zeus",
            remedy="set projection_share to 0",
        )

    def _learn_projection(
        self, config: TrainConfig, parent: CheckpointInfo | None
    ) -> CheckpointInfo:
        """Train f_vt for the first part of a training; of these weights only f_vt is used.

        Words are discrete, so f_vt learns only through the LLM's last layer. If a training was
        interrupted in its second part, the projection of its first part is used again, provided
        that its recipe, cases and origin are the same.
        """
        projections = self._projections
        setup = replace(self.setup, checkpoints=projections)
        version = parent.version if parent else UNTRAINED
        with self._projecting.through_last_layer():
            cases = self._cases()
            trainer = Trainer(
                setup,
                cases,
                part_of(config, config.projection_share),
                origin=self._origin(cases, version, [parent] if parent else []),
                progress=self.progress,
            )
            interrupted = config.resume and self.setup.checkpoints.resume_path.exists()
            learned = projections.served() if interrupted else None
            if learned and learned.identity == trainer.identity:
                return learned
            return trainer.fit().checkpoint


def part_of(config: TrainConfig, share: float) -> TrainConfig:
    """The same recipe for a share of its epochs and its time budget."""
    budget = config.time_budget_s
    return config.model_copy(
        update={
            "epochs": max(1, round(config.epochs * share)),
            "time_budget_s": None if budget is None else budget * share,
        }
    )
