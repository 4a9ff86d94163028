"""A model small enough to train in a test: one weight and one bias a branch and label."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from zeus_app.models.fusion import PlainUnion
from zeus_app.protocols import Batch, Decoded, Model
from zeus_app.targets import Target, load_target
from zeus_app.training.cases import Case, make_case
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.training.setup import TrainingSetup
from zeus_app.types import (
    BoolArray,
    FloatArray,
    Grid,
    Instruction,
    LabelledStudy,
    Study,
    Volume,
)

SIZE = 16


@dataclass(frozen=True, eq=False)
class TinyPrepared:
    present: BoolArray
    pixels: FloatArray  # (S, M, SIZE, SIZE)
    instructions: tuple[Instruction, ...] = ()

    def batch(self, slices: Sequence[int]) -> Batch:
        rows = list(slices)
        return {
            "present": torch.from_numpy(self.present[rows]),
            "pixels": torch.from_numpy(self.pixels[rows]),
        }


class TinyModel:
    """Logits are weight x pixel + bias, one pair for each of two branches."""

    name = "tiny"
    branches = ("T2", "FLAIR")

    def __init__(self) -> None:
        self.trainable: nn.Module = nn.Conv2d(2, 2, kernel_size=1, groups=2)
        for parameter in self.trainable.parameters():
            nn.init.zeros_(parameter)
        self.tower_ids = {"image encoder": "tiny"}

    def decode(self, batch: Batch, *, branches: bool = True) -> Decoded:
        logits = self.logits(batch)
        return Decoded(logits, PlainUnion("max")(logits, batch["present"]))

    def logits(self, batch: Batch) -> torch.Tensor:
        logits: torch.Tensor = self.trainable(batch["pixels"])
        return logits[:, :, None]


def tiny_case(name: str, *, slices: int = 6, seed: int = 0) -> Case:
    """Bright pixels are the label; its left half shows in T2 alone, its right in FLAIR alone."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((slices, SIZE, SIZE), np.uint8)
    truth[: slices // 2, 4:12, 4:12] = 1
    left = np.arange(SIZE) < SIZE // 2
    pixels = np.stack([truth * left, truth * ~left], axis=1).astype(np.float32)
    pixels += rng.normal(0, 0.05, pixels.shape).astype(np.float32)
    present = np.ones((slices, 2), bool)
    return make_case(name, TinyPrepared(present, pixels), truth[:, None])


def tiny_setup(
    folder: Path,
    model: object,
    *,
    target: Target | None = None,
    union: str = "max",
    threshold: float = 0.5,
    cache_limit_gib: float = 1,
) -> TrainingSetup:
    """A setup with its checkpoints in `folder`, and its split and cache below it."""
    trainable = getattr(model, "trainable", nn.Identity())
    return TrainingSetup(
        model=cast(Model, model),
        target=target or load_target("phantom"),
        checkpoints=Checkpoints(folder),
        initial_state={key: value.clone() for key, value in trainable.state_dict().items()},
        split_path=folder / "splits.json",
        device=torch.device("cpu"),
        union=union,
        threshold=threshold,
        cache_folder=folder / "cache",
        cache_limit_gib=cache_limit_gib,
    )


def labelled_study(
    name: str,
    patient: str,
    *,
    read_study: Callable[[], Study],
    read_label: Callable[[], Volume],
    grid: Grid,
) -> LabelledStudy:
    """A labelled study of one sequence."""
    return LabelledStudy(
        id=name,
        read_study=read_study,
        read_label=read_label,
        read_grid=lambda: grid,
        patient=patient,
        sequences=("T2",),
    )
