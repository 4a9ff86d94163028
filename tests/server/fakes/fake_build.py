"""A model that is fast and predictable: a lesion is where T2 exceeds a learnt threshold.

Untrained it marks nothing. A training learns 0.9 times the lowest T2 value inside the labels, where
values are those of the windowed slices, from 0 to 1.
"""

import os
import time
from typing import Any

import numpy as np
import torch

from zeus_app.errors import InputError
from zeus_app.settings.registry import lookup
from zeus_app.studies.align import to_grid
from zeus_app.studies.opened import OpenedStudy, open_study
from zeus_app.studies.slices import to_voxels
from zeus_app.targets import target_of
from zeus_app.training.checkpoint import CheckpointInfo, Checkpoints
from zeus_app.training.loop import Epoch, TrainResult
from zeus_app.types import Instruction, Segmentation, Volume

SLOW_STUDY = "slow"
STEPS = 100  # of 50 ms each, for the slow study
HELD_SLICES = 63  # a click carried on so far takes a minute, or until that file exists
RELEASE = os.environ.get("FAKE_RELEASE", "")  # with it, the slow study ends when this file exists


def build_segmenter(config: Any, state: Any) -> Any:
    lookup("profile", config.profile, {"reference-small": None})
    return FakeSegmenter(target_of(config), Checkpoints(state.checkpoints))


def windowed_reference(study: OpenedStudy) -> Volume:
    """The reference sequence on its source grid, in the slices' values from 0 to 1."""
    index = study.stack.sequences.index(study.reference)
    voxels = to_voxels(study.stack.pixels[index], study.stack.frame)
    return to_grid(Volume(voxels, study.grid.affine_ras), study.source_grid, order=0, fill=0)


def take_time(study: Any, report: Any) -> None:
    """One step, or 5 s for the slow study, or as long as a test holds it, up to a minute."""
    hold("encoding", report, steps=1 if study.id != SLOW_STUDY else 1200 if RELEASE else STEPS)


def hold(stage: str, report: Any, *, steps: int) -> None:
    for step in range(steps):
        report(stage, step, steps)
        if steps > 1:
            time.sleep(0.05)
        if RELEASE and os.path.exists(RELEASE):
            return


class FakeSegmenter:
    def __init__(self, target: Any, checkpoints: Checkpoints) -> None:
        self.target, self.checkpoints = target, checkpoints

    def reload(self) -> str:
        served = self.checkpoints.served()
        return served.version if served else "untrained"

    def prepare(self, stack: Any, *, report: Any, wanted: Any) -> None:
        for step in range(10):
            report("encoding", step, 10)
            time.sleep(0.05)

    def segment(self, study: Any, *, guidance: Any = None, report: Any) -> Segmentation:
        texts = guidance.texts if guidance else {}
        take_time(study, report)
        served = self.checkpoints.served()
        version = served.version if served else "untrained"
        volume = windowed_reference(study)
        mask = np.zeros(volume.array.shape, np.uint8)
        if served:
            learnt = self.checkpoints.load(version, fitted_to={})["threshold"]
            mask[volume.array >= float(learnt)] = 1
        label_map = Volume(mask, volume.affine_ras)
        used = study.used
        return Segmentation(
            study_id=study.id,
            label_map=label_map,
            sequence_label_maps=dict.fromkeys(used, label_map),
            instructions=tuple(
                Instruction(
                    name,
                    label,
                    None,
                    texts.get((name, label), "look for it"),
                    "user" if (name, label) in texts else "fake-llm",
                )
                for name in used
                for label in self.target.label_names
            ),
            used=used,
            missing=study.missing,
            agreement=dict.fromkeys(used, 1.0),
            volumes_ml={"lesion": float(mask.sum() * label_map.grid.voxel_ml)},
            latencies_ms={"all": 1.0},
            checkpoint=version,
            notes=() if served else ("untrained model",),
        )

    def fit(self, studies: Any, config: Any, *, report: Any, progress: Any) -> TrainResult:
        print(f"niceness {os.nice(0)}", flush=True)
        values = []
        for done, labelled in enumerate(studies, start=1):
            report("preparing studies", done, len(studies))
            volume = windowed_reference(open_study(labelled.read_study(), self.target))
            label = to_grid(labelled.read_label(), volume.grid, order=0, fill=0)
            values.append(volume.array[label.array > 0].min())
        if config.seed == 13:
            raise InputError("an unlucky seed", expected="another", remedy="choose one")
        epochs = tuple(
            Epoch(number, 1 / number, 0.5, config.learning_rate, float(number))
            for number in range(1, min(config.epochs, 3) + 1)
        )
        for epoch in epochs:
            progress(epoch, 1, 1)
        info = self.checkpoints.publish(
            {"threshold": torch.tensor(0.9 * min(values))},
            CheckpointInfo("", "", epochs[-1].number, 0.5, tuple(s.id for s in studies), (), {}),
        )
        return TrainResult(info, epochs, "all epochs done")


def build_clicks(config: Any, state: Any, *, beside: Any) -> Any:
    return FakeClicks()


class FakeClicks:
    """Marks the very voxels that were clicked, boxed or started from; nothing beside them."""

    def segment(self, stack: Any, pointings: Any, *, reach: Any, report: Any) -> np.ndarray:
        report("clicked slices", 0, 1)
        if reach.slices == HELD_SLICES:
            hold("carrying on", report, steps=1200)
        answer = np.zeros(stack.frame.grid.shape, np.uint8)
        for k, pointing in pointings.items():
            if pointing.prior is not None:
                answer[pointing.prior] = k + 1
            if pointing.clicks.box:
                low, high = np.round(pointing.clicks.box).astype(int)
                answer[tuple(map(slice, low, high + 1))] = k + 1
            for voxel in (*pointing.clicks.foreground, *pointing.scribbles.foreground):
                answer[tuple(np.round(voxel).astype(int))] = k + 1
            for voxel in pointing.clicks.background:
                beside = tuple(np.round(voxel).astype(int))
                answer[beside] = 0 if answer[beside] == k + 1 else answer[beside]
        if reach.only is not None:
            answer[..., [s for s in range(answer.shape[2]) if s != reach.only]] = 0
        return answer
