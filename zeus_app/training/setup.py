"""What all trainings of one model share."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from zeus_app.errors import InputError
from zeus_app.protocols import Model, WritesTexts
from zeus_app.targets import Target
from zeus_app.training.checkpoint import UNTRAINED, Checkpoints

TEXTS = "texts"
"""Role of the texts' scope in a checkpoint's `fitted_to`. Versions of 0.2.0 lack it."""


@dataclass(frozen=True, eq=False)
class TrainingSetup:
    """A model, its checkpoints, and the settings that every layer of a training reads.

    `Segmenter` makes one setup. `fit`, `Trainer`, `Steps` and `Evaluator` get it unchanged.

    Attributes:
        model: the network that learns.
        target: the labels to segment, and the sequences to read.
        checkpoints: folder of the model's versions.
        initial_state: the trainable part's weights before any training.
        split_path: JSON file with each patient's side of the split.
        device: device of the trainable part.
        union: how the sequences' masks unite: "max", "mean" or "vote".
        threshold: probability above which a voxel is foreground, in (0, 1).
        cache_folder: folder of the embedding cache.
        cache_limit_gib: size limit of the embedding cache, in GiB.
    """

    model: Model
    target: Target
    checkpoints: Checkpoints
    initial_state: Mapping[str, torch.Tensor]
    split_path: Path
    device: torch.device
    union: str
    threshold: float
    cache_folder: Path
    cache_limit_gib: float

    @property
    def trained_with(self) -> dict[str, str]:
        """What trained weights belong to: role -> frozen tower, labels or sequences.

        Checkpoints store this as `fitted_to`. Weights with another value are refused.
        """
        return {
            **self.model.tower_ids,
            "labels": ", ".join(f"{label.name} {label.value}" for label in self.target.labels),
            "sequences": ", ".join(self.target.sequence_names),
        }

    @property
    def fitted_to(self) -> dict[str, str]:
        """What a checkpoint stores: `trained_with`, and the scope of its texts.

        The scope is not compared, because a model can write texts in each scope.
        """
        model = self.model
        scope = {TEXTS: model.text_scope} if isinstance(model, WritesTexts) else {}
        return {**self.trained_with, **scope}

    def load(self, version: str) -> None:
        """Put the weights of a version, or of "untrained", into the model, with its texts' scope.

        Raises:
            InputError: the version was trained with other towers, labels or sequences, or its
                weights are of another network.
        """
        if version == UNTRAINED:
            self.model.trainable.load_state_dict(self.initial_state)
            self._write_texts_as(None)
            return
        weights = self.checkpoints.load(version, trained_with=self.trained_with)
        try:
            self.model.trainable.load_state_dict(weights)
        except (RuntimeError, TypeError, AttributeError) as error:
            raise InputError(
                f"checkpoint {version} holds weights of another network",
                expected="the weights that Zeus saved under this version",
                remedy="serve another version, for example POST /zeus/checkpoints/untrained/serve",
            ) from error
        self._write_texts_as(self.checkpoints.info(version).fitted_to.get(TEXTS, ""))

    def _write_texts_as(self, recorded: str | None) -> None:
        if isinstance(self.model, WritesTexts):
            self.model.write_texts_as(recorded)
