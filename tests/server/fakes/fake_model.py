"""A plugin whose fast and predictable model replaces that of Zeus.

A server runs it with ZEUS_PLUGINS=tests.server.fakes.fake_model. A lesion is where T2 exceeds a
learnt threshold. Untrained the model marks nothing. A training learns 0.9 times the lowest T2 value
inside the labels; values are those of the windowed slices, from 0 to 1.

Two operations wait for the test, at most a minute: segmenting the study "slow", and clicks that
reach HELD_SLICES slices. FAKE_CONTROL names a folder for files of the tests: `released` ends the
wait, and `preparation-held` keeps background encodings from ending.
"""

import logging
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from zeus_app.errors import InputError
from zeus_app.pipeline.plugins import ModelPlugin
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.progress import Report, silent
from zeus_app.prompts.propagation import PROPAGATING, PropagationLimits
from zeus_app.prompts.segmenter import PROMPTED, ClickMasks, ClickSegmenter
from zeus_app.prompts.types import StudyPrompt
from zeus_app.settings.config import TrainConfig, ZeusConfig
from zeus_app.settings.registry import lookup
from zeus_app.storage.state import StateFolder
from zeus_app.studies.align import to_grid
from zeus_app.studies.opened import OpenedStudy, open_study
from zeus_app.studies.slices import to_voxels
from zeus_app.targets import Target, target_of
from zeus_app.training.checkpoint import UNTRAINED, CheckpointInfo, Checkpoints
from zeus_app.training.loop import Epoch, Progress, TrainResult
from zeus_app.types import (
    FloatArray,
    Grid,
    Guidance,
    Instruction,
    LabelledStudy,
    Segmentation,
    SliceStack,
    Volume,
)

SLOW_STUDY = "slow"
HELD_SLICES = 63
HELD_STEPS = 1200
STEP_S = 0.05
UNLUCKY_SEED = 13  # a training with it fails
logger = logging.getLogger(__name__)


def build_segmenter(config: ZeusConfig, state: StateFolder) -> Segmenter:
    lookup("profile", config.profile, {"reference-small": None})
    return FakeSegmenter(target_of(config), Checkpoints(state.checkpoints))


def build_clicks(config: ZeusConfig, state: StateFolder) -> ClickSegmenter:
    return FakeClicks()


MODELS = {"zeus": ModelPlugin(segmenter=build_segmenter, clicks=build_clicks)}


def windowed_reference(study: OpenedStudy) -> tuple[FloatArray, Grid]:
    """The reference sequence on its source grid, in the slices' values from 0 to 1."""
    index = study.stack.sequences.index(study.reference)
    voxels = to_voxels(study.stack.pixels[index], study.stack.frame)
    on_source = to_grid(Volume(voxels, study.grid.affine_ras), study.source_grid, order=0, fill=0)
    return on_source.array.astype(np.float32), on_source.grid


def control(name: str) -> bool:
    """Whether a test has put this file into the control folder."""
    return (Path(os.environ["FAKE_CONTROL"]) / name).exists()


def hold(stage: str, report: Report, *, until: Callable[[], bool]) -> None:
    """Report one step after another until a test lets the work end."""
    for step in range(HELD_STEPS):
        report(stage, step, HELD_STEPS)
        if until():
            return
        time.sleep(STEP_S)


class FakeSegmenter(Segmenter):
    def __init__(self, target: Target, checkpoints: Checkpoints) -> None:
        self.target, self.checkpoints = target, checkpoints

    def reload(self) -> str:
        served = self.checkpoints.served()
        return served.version if served else UNTRAINED

    def prepare(
        self,
        stack: SliceStack,
        *,
        report: Report = silent,
        first: Callable[[], Collection[int]] = tuple,
    ) -> None:
        hold("encoding", report, until=lambda: not control("preparation-held"))

    def segment(
        self, study: OpenedStudy, *, guidance: Guidance | None = None, report: Report = silent
    ) -> Segmentation:
        hold("encoding", report, until=lambda: study.id != SLOW_STUDY or control("released"))
        version = self.reload()
        values, grid = windowed_reference(study)
        mask = np.zeros(values.shape, np.uint8)
        if version != UNTRAINED:
            mask[values >= float(self.checkpoints.load(version, trained_with={})["threshold"])] = 1
        label_map = Volume(mask, grid.affine_ras)
        return Segmentation(
            study_id=study.id,
            label_map=label_map,
            sequence_label_maps=dict.fromkeys(study.used, label_map),
            instructions=self._instructions(study.used, guidance or Guidance()),
            used=study.used,
            missing=study.missing,
            agreement=dict.fromkeys(study.used, 1.0),
            volumes_ml={"lesion": float(mask.sum() * grid.voxel_ml)},
            latencies_ms={"all": 1.0},
            checkpoint=version,
            notes=("untrained model",) if version == UNTRAINED else (),
        )

    def _instructions(
        self, sequences: Sequence[str], guidance: Guidance
    ) -> tuple[Instruction, ...]:
        pairs = [(sequence, label) for sequence in sequences for label in self.target.label_names]
        return tuple(
            Instruction(*pair, None, guidance.texts[pair], "user")
            if pair in guidance.texts
            else Instruction(*pair, None, "look for it", "fake-llm")
            for pair in pairs
        )

    def fit(
        self,
        studies: Sequence[LabelledStudy],
        config: TrainConfig,
        *,
        report: Report = silent,
        progress: Progress = lambda epoch, done, total: None,
    ) -> TrainResult:
        logger.info("niceness %d", os.nice(0))
        lowest = []
        for done, labelled in enumerate(studies, start=1):
            report("preparing studies", done, len(studies))
            values, grid = windowed_reference(open_study(labelled.read_study(), self.target))
            label = to_grid(labelled.read_label(), grid, order=0, fill=0).array.astype(np.uint8)
            lowest.append(values[label > 0].min())
        if config.seed == UNLUCKY_SEED:
            raise InputError("an unlucky seed", expected="another", remedy="choose one")
        epochs = tuple(
            Epoch(number, 1 / number, 0.5, config.learning_rate, float(number))
            for number in range(1, min(config.epochs, 3) + 1)
        )
        for epoch in epochs:
            progress(epoch, 1, 1)
        info = self.checkpoints.publish(
            {"threshold": torch.tensor(0.9 * min(lowest))},
            CheckpointInfo("", "", epochs[-1].number, 0.5, tuple(s.id for s in studies), (), {}),
        )
        return TrainResult(info, epochs, "all epochs done")


class FakeClicks(ClickSegmenter):
    """Marks exactly the voxels of clicks, boxes and initial masks."""

    def __init__(self) -> None:
        pass

    def answer(
        self,
        stack: SliceStack,
        prompts: Mapping[int, StudyPrompt],
        *,
        limits: PropagationLimits,
        report: Report,
    ) -> ClickMasks:
        report(PROMPTED, 0, 1)
        if limits.max_slices == HELD_SLICES:
            hold(PROPAGATING, report, until=lambda: control("released"))
        answer = np.zeros(stack.frame.grid.shape, np.uint8)
        for k, prompt in prompts.items():
            if prompt.initial_mask is not None:
                answer[prompt.initial_mask] = k + 1
            if prompt.box:
                low, high = np.round(prompt.box).astype(int)
                answer[tuple(map(slice, low, high + 1))] = k + 1
            for voxel in (*prompt.foreground, *prompt.scribbles.foreground.tolist()):
                answer[tuple(np.round(voxel).astype(int))] = k + 1
            for voxel in prompt.background:
                index = tuple(np.round(voxel).astype(int))
                answer[index] = 0 if answer[index] == k + 1 else answer[index]
        if limits.only_slice is not None:
            answer[..., [s for s in range(answer.shape[2]) if s != limits.only_slice]] = 0
        return ClickMasks(answer, reached={}, is_complete=True)
