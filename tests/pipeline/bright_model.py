"""A model that is a threshold on the pictures, and objects to segment with it."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tests.painted import Box, grid, painted
from zeus_app.models.fusion import PlainUnion
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.progress import Report
from zeus_app.protocols import ABSENT, Batch, Decoded, Prepared
from zeus_app.settings.config import ZeusConfig
from zeus_app.studies.opened import OpenedStudy, open_study
from zeus_app.targets import Label, Target
from zeus_app.targets import Sequence as Wanted
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.types import (
    BoolArray,
    Grid,
    Guidance,
    Instruction,
    Segmentation,
    SliceStack,
    Study,
    Volume,
)

VALUE = 7
SURE = 20.0  # logit
TARGET = Target(
    name="painted",
    instance="object",
    labels=(Label(name="object", value=VALUE),),
    sequences=tuple(Wanted(name=n, prompt_name=n, aliases=(n.lower(),)) for n in ("T2", "ADC")),
    reference=("T2", "ADC"),
)

# RAS mm. Stairs that rise to the right, the front and the top by different steps. All turned and
# mirrored stairs differ from them. A separate bar lies towards the left and the back.
STAIRS: tuple[Box, ...] = (
    ((-6.3, 14.8), (-7.3, -0.2), (-30, 4.4)),
    ((1.2, 14.8), (-0.8, 5.3), (-30, 7.4)),
    ((7.1, 14.8), (4.9, 9.7), (-30, 30)),
)
BAR: tuple[Box, ...] = (((-19.2, -9.7), (-9.3, 4.7), (-4.6, 30)),)
UPRIGHT = grid((64, 40, 7), (1, 1, 3))  # 4 pixels a voxel, padded in front and behind
RADIUS_MM = (25.0, 15.0)


@dataclass(frozen=True, eq=False)
class Pictures:
    stack: SliceStack
    instructions: tuple[Instruction, ...] = ()

    @property
    def present(self) -> BoolArray:
        return self.stack.tissue.T

    def batch(self, slices: Sequence[int]) -> Batch:
        rows = list(slices)
        return {
            "present": torch.from_numpy(self.present[rows]),
            "pixels": torch.from_numpy(self.stack.pixels[:, rows]).transpose(0, 1),
        }


class BrightIsObject:
    """A model that marks whatever lies in the upper half of a picture's range."""

    branches = TARGET.sequence_names
    reads_text = True

    def __init__(self) -> None:
        self.trainable: nn.Module = nn.Identity()
        self.tower_ids: Mapping[str, str] = {}
        self.seen: SliceStack
        self.prepared: list[tuple[BoolArray, Guidance]] = []

    def cache_bytes(self, pictures: int) -> int:
        return pictures

    def prepare(
        self, stack: SliceStack, *, guidance: Guidance, report: Report, keep_pixels: bool
    ) -> Pictures:
        self.seen = stack
        self.prepared.append((stack.tissue, guidance))
        return Pictures(stack)

    def pin_embeddings(self) -> AbstractContextManager[None]:
        return nullcontext()

    def calibrate(self, studies: Sequence[Prepared]) -> None:
        pass

    def decode(self, batch: Batch, *, branches: bool = True) -> Decoded:
        logits = self.logits(batch)
        return Decoded(logits, PlainUnion("max")(logits, batch["present"]))

    def logits(self, batch: Batch) -> torch.Tensor:
        logits = torch.where(batch["pixels"] > 0.5, SURE, -SURE)
        logits[~batch["present"]] = ABSENT
        return logits[:, :, None]


def segmenter(target: Target = TARGET, model: BrightIsObject | None = None) -> Segmenter:
    nowhere = Path("/nonexistent")
    return Segmenter(
        config=ZeusConfig(device="cpu"),
        target=target,
        model=model or BrightIsObject(),
        checkpoints=Checkpoints(nowhere),
        split_path=nowhere / "splits.json",
        cache_folder=nowhere,
        device=torch.device("cpu"),
    )


def segmented(**volumes: Volume) -> Segmentation:
    return segmenter().segment(opened(**volumes))


def opened(**volumes: Volume) -> OpenedStudy:
    return open_study(Study("painted", volumes), TARGET)


def pictures_of(**volumes: Volume) -> npt.NDArray[np.float32]:
    """(M, S, 256, 256), the pictures that reach the model."""
    model = BrightIsObject()
    segmenter(model=model).segment(opened(**volumes))
    return model.seen.pixels.astype(np.float32)


def stairs(on: Grid) -> Volume:
    return painted(on, STAIRS, radius_mm=RADIUS_MM)


def bar(on: Grid) -> Volume:
    return painted(on, BAR, radius_mm=RADIUS_MM)
