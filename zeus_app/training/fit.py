"""A training, from labelled studies to a published checkpoint: what comes before the loop."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from zeus_app.config import TrainConfig
from zeus_app.errors import InputError
from zeus_app.progress import Report
from zeus_app.protocols import HoldsStudies, LearnsProjection, Model
from zeus_app.targets import Target
from zeus_app.training.cases import Case
from zeus_app.training.checkpoint import UNTRAINED, CheckpointInfo, Checkpoints
from zeus_app.training.loop import Origin, Progress, Trainer, TrainResult
from zeus_app.training.preparation import prepare_cases
from zeus_app.training.splits import Split, split_studies
from zeus_app.types import LabelledStudy

Studies = Mapping[str, LabelledStudy]


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
        parent = self._parent(config, split)
        version = parent.version if parent else UNTRAINED
        self.load(version)
        if config.projection_share:
            projection = self._learnt_projection(studies, split, config)
            self.load(version)
            self._projecting.take_projection(projection)
            config = part_of(config, 1 - config.projection_share)
        train, validation, left_out = self._cases(studies, split)
        if parent is None:
            self.model.calibrate([case.prepared for case in train])
        origin = Origin(self.fitted_to, version, parent.studies if parent else (), left_out)
        return self._trainer(train, validation, config, origin, self.checkpoints).fit()

    def _parent(self, config: TrainConfig, split: Split) -> CheckpointInfo | None:
        """The version that the training starts from, if it is one."""
        served = self.checkpoints.served() if config.start == "served" else None
        known = set(split.validation) & set(served.studies if served else ())
        if served and known:
            raise InputError(
                f"start=served, but {served.version} learnt from {', '.join(sorted(known))},"
                " which this training would be judged by",
                expected="a version that never saw the held-back patients",
                remedy="set start to scratch, or validation_fraction to 0",
            )
        return served

    def _cases(
        self, studies: Studies, split: Split
    ) -> tuple[list[Case], list[Case], dict[str, str]]:
        """Cases to learn from, cases to validate on, and why some studies are neither."""
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
        return train, [cases[name] for name in split.validation if name in cases], left_out

    def _trainer(
        self,
        train: Sequence[Case],
        validation: Sequence[Case],
        config: TrainConfig,
        origin: Origin,
        checkpoints: Checkpoints,
    ) -> Trainer:
        return Trainer(
            model=self.model,
            train=train,
            validation=validation,
            config=config,
            origin=origin,
            checkpoints=checkpoints,
            device=self.device,
            union=self.union,
            progress=self.progress,
        )

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
        self, studies: Studies, split: Split, config: TrainConfig
    ) -> dict[str, torch.Tensor]:
        """The first part of a training: weights in which f_vt has learnt, all else to be dropped.

        Words are discrete, so f_vt learns through the LLM's last layer alone. A training that was
        interrupted in its second part takes the projection that its first part ended with.
        """
        home = Checkpoints(self.checkpoints.folder / "projection")
        part = part_of(config, config.projection_share)
        known = home.served() if config.resume and self.checkpoints.resume_path.exists() else None
        if known is None or known.settings != part.model_dump(mode="json"):
            with self._projecting.through_last_layer():
                train, validation, left_out = self._cases(studies, split)
                origin = Origin(self.fitted_to, left_out=left_out)
                known = self._trainer(train, validation, part, origin, home).fit().checkpoint
        return home.load(known.version, fitted_to={})


def part_of(config: TrainConfig, share: float) -> TrainConfig:
    """The same recipe for a share of its epochs and its time."""
    budget = config.time_budget_s
    return config.model_copy(
        update={
            "epochs": max(1, round(config.epochs * share)),
            "time_budget_s": None if budget is None else budget * share,
        }
    )
