"""A training, from labelled studies to a published checkpoint: what comes before the loop."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from zeus_app.errors import InputError
from zeus_app.progress import Report
from zeus_app.protocols import HoldsStudies, LearnsProjection, Model
from zeus_app.settings.config import TrainConfig
from zeus_app.targets import Target
from zeus_app.training.cases import Case
from zeus_app.training.checkpoint import UNTRAINED, CheckpointInfo, Checkpoints
from zeus_app.training.loop import Origin, Progress, Trainer, TrainResult
from zeus_app.training.preparation import prepare_cases
from zeus_app.training.splits import Split, split_studies
from zeus_app.types import LabelledStudy

Studies = Mapping[str, LabelledStudy]


@dataclass(frozen=True)
class _Cases:
    """Cases to learn from and to validate on; why some studies are neither, and why none are."""

    train: Sequence[Case]
    validation: Sequence[Case]
    left_out: Mapping[str, str]
    unvalidated: str


@dataclass(frozen=True, eq=False)
class Fitter:
    """One training of one model.

    Attributes:
        model, target: what learns, and to segment what.
        checkpoints: where its versions go.
        load: puts a version, or "untrained", into the model.
        fitted_to: what the weights will belong to, by role.
        split_path: the file that remembers which patients are held back.
        device: of the trainable part.
        union: how sequences unite.
        threshold: probability above which a voxel counts.
        report: told while studies are prepared.
        progress: told after every training batch.
    """

    model: Model
    target: Target
    checkpoints: Checkpoints
    load: Callable[[str], None]
    fitted_to: Mapping[str, str]
    split_path: Path
    device: torch.device
    union: str
    threshold: float
    report: Report
    progress: Progress

    def fit(self, studies: Studies, config: TrainConfig) -> TrainResult:
        """Learn, and publish the best weights.

        Raises:
            InputError: nothing to learn from, or settings that do not go together.
        """
        model = self.model
        with model.holding() if isinstance(model, HoldsStudies) else nullcontext():
            return self._fit(studies, config)

    def _fit(self, studies: Studies, config: TrainConfig) -> TrainResult:
        split = split_studies(
            studies, self.split_path, fraction=config.validation_fraction, seed=config.seed
        )
        parent = self._parent(studies, split, config)
        version = parent.version if parent else UNTRAINED
        before = [parent] if parent else []
        self.load(version)
        if config.projection_share:
            projection = self._learnt_projection(studies, split, config, before)
            self.load(version)
            weights = self._projections.load(projection.version, fitted_to={})
            self._projecting.take_projection(weights)
            before.append(projection)
            config = part_of(config, 1 - config.projection_share)
        cases = self._cases(studies, split)
        if parent is None:
            self.model.calibrate([case.prepared for case in cases.train])
        origin = self._origin(studies, cases, version, before)
        return self._trainer(cases, config, origin, self.checkpoints).fit()

    def _parent(self, studies: Studies, split: Split, config: TrainConfig) -> CheckpointInfo | None:
        """The version that the training starts from, if it is one."""
        served = self.checkpoints.served() if config.start == "served" else None
        held_back = {studies[name].patient for name in split.validation}
        known = held_back & _patients(studies, served) if served else set()
        if served and known:
            raise InputError(
                f"start=served, but {served.version} learnt from {', '.join(sorted(known))},"
                " by whom this training would be judged",
                expected="a version that never saw the held-back patients",
                remedy="set start to scratch, or validation_fraction to 0",
            )
        return served

    def _cases(self, studies: Studies, split: Split) -> _Cases:
        cases, left_out = prepare_cases(
            studies.values(), model=self.model, target=self.target, report=self.report
        )
        train = [cases[name] for name in split.train if name in cases]
        if not train:
            raise InputError(
                f"no labelled study to learn from ({len(studies)} after exclusions;"
                f" {'; '.join(left_out.values()) or 'none unusable'})",
                expected="at least one study with a submitted label",
                remedy="submit a label, or run `zeus import-labels`",
            )
        validation = [cases[name] for name in split.validation if name in cases]
        why = split.unvalidated
        if split.validation and not validation:
            reasons = "; ".join(f"{name}: {left_out[name]}" for name in split.validation)
            why = f"no held-back study can be used ({reasons})"
        return _Cases(train, validation, left_out, why)

    def _origin(
        self, studies: Studies, cases: _Cases, parent: str, before: Sequence[CheckpointInfo]
    ) -> Origin:
        """Where the weights come from: `before` are all versions that something was taken of."""
        patients = {studies[case.id].patient for case in cases.train}
        return Origin(
            fitted_to=self.fitted_to,
            parent=parent,
            ancestors=tuple(study for one in before for study in one.studies),
            patients=tuple(sorted(patients.union(*(_patients(studies, one) for one in before)))),
            left_out=cases.left_out,
            unvalidated=cases.unvalidated,
        )

    def _trainer(
        self, cases: _Cases, config: TrainConfig, origin: Origin, checkpoints: Checkpoints
    ) -> Trainer:
        return Trainer(
            model=self.model,
            train=cases.train,
            validation=cases.validation,
            config=config,
            origin=origin,
            checkpoints=checkpoints,
            device=self.device,
            union=self.union,
            threshold=self.threshold,
            progress=self.progress,
        )

    @property
    def _projections(self) -> Checkpoints:
        return Checkpoints(self.checkpoints.folder / "projection")

    @property
    def _projecting(self) -> LearnsProjection:
        if isinstance(self.model, LearnsProjection):
            return self.model
        raise InputError(
            f"projection_share for a {type(self.model).__name__}",
            expected="a model whose LLM is shown the picture through a projection",
            remedy="set projection_share to 0",
        )

    def _learnt_projection(
        self, studies: Studies, split: Split, config: TrainConfig, before: Sequence[CheckpointInfo]
    ) -> CheckpointInfo:
        """The first part of a training: weights in which f_vt has learnt, all else to be dropped.

        Words are discrete, so f_vt learns through the LLM's last layer alone. A training that was
        interrupted in its second part takes the projection that its first part ended with, if it
        would learn the same again.
        """
        home = self._projections
        part = part_of(config, config.projection_share)
        version = before[0].version if before else UNTRAINED
        with self._projecting.through_last_layer():
            cases = self._cases(studies, split)
            trainer = self._trainer(
                cases, part, self._origin(studies, cases, version, before), home
            )
            interrupted = config.resume and self.checkpoints.resume_path.exists()
            known = home.served() if interrupted else None
            if known and known.identity == trainer.identity:
                return known
            return trainer.fit().checkpoint


def _patients(studies: Studies, version: CheckpointInfo) -> set[str]:
    """Whose studies a version learnt from: as it says, and as is known of them today."""
    learnt = (studies[name].patient for name in version.studies if name in studies)
    return {*version.patients, *learnt}


def part_of(config: TrainConfig, share: float) -> TrainConfig:
    """The same recipe for a share of its epochs and its time."""
    budget = config.time_budget_s
    return config.model_copy(
        update={
            "epochs": max(1, round(config.epochs * share)),
            "time_budget_s": None if budget is None else budget * share,
        }
    )
