"""A model with its checkpoints: segments studies, answers clicks, and learns from labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zeus_app.api.prompting import Point, Prompt, grid_of, limits_for, read_prompt
from zeus_app.errors import InputError
from zeus_app.instructions.own_texts import read_texts
from zeus_app.labels.import_labels import ImportLine, import_into_store
from zeus_app.labels.labelled import with_final_label
from zeus_app.labels.versions import FINAL, LabelHistory
from zeus_app.progress import Report, silent
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.pseudonyms import Pseudonyms
from zeus_app.storage.state import StateFolder
from zeus_app.studies.align import to_grid
from zeus_app.studies.find import find_studies
from zeus_app.studies.opened import OpenedStudy
from zeus_app.targets import Target
from zeus_app.training.checkpoint import UNTRAINED, CheckpointInfo, Checkpoints
from zeus_app.training.loop import Progress, TrainResult, ignore_progress
from zeus_app.types import Guidance, LabelledStudy, Segmentation, Volume
from zeus_app.upgrade.older_state import upgrade_once

if TYPE_CHECKING:
    from zeus_app.pipeline.segmenter import Segmenter
    from zeus_app.prompts.segmenter import ClickSegmenter

PICTURES_AT_ONCE_CPU = 2
"""Pictures per call of the image encoder on a CPU: nobody clicks meanwhile."""


class ZeusModel:
    """A model for one target. `load` makes it.

    Args:
        config: the settings.
        target: the labels to segment, and the sequences to read.
        state: the folder for labels, checkpoints and caches.
        checkpoints: their served version is used until the next training.
    """

    def __init__(
        self, config: ZeusConfig, target: Target, state: StateFolder, checkpoints: Checkpoints
    ) -> None:
        self.config, self.target, self.state = config, target, state
        self._checkpoints = checkpoints

    @property
    def checkpoint(self) -> CheckpointInfo | None:
        """The version that the next study is segmented with; None for an untrained model."""
        return self._checkpoints.served()

    @property
    def version(self) -> str:
        """Name of that version, such as "v0003", or "untrained"."""
        served = self.checkpoint
        return served.version if served else UNTRAINED

    def segment(
        self,
        study: OpenedStudy,
        *,
        texts: Mapping[str, str] | None = None,
        scope: str = "",
        report: Report = silent,
    ) -> Segmentation:
        """Segment a study.

        Args:
            study: from `open_study`, with this model's target.
            texts: your own instructions: "FLAIR/lesion", "FLAIR" or "lesion" -> text.
            scope: which slices get a text: "none", "series", "key" or "all"; empty: as configured.
            report: called with (stage, done, total) between the batches; it may raise to stop.

        Returns:
            The result. `label_map.array` is (X, Y, Z) uint8 with the target's values, on the grid
            of the study's reference sequence as stored; `label_map.affine_ras` is its affine in
            RAS mm. `volumes_ml` are in millilitres, `latencies_ms` in milliseconds. An untrained
            model says so in `notes`: its mask means nothing.

        Raises:
            InputError: a text or the scope cannot be used, or weights are missing or do not fit.
        """
        self._refuse_other_target(study)
        guidance = Guidance(read_texts(texts or {}, self.target), scope)
        return self._segmenter.segment(study, guidance=guidance, report=report)

    def click(
        self,
        study: OpenedStudy,
        sequence: str = "",
        *,
        foreground: Sequence[Point] = (),
        background: Sequence[Point] = (),
        box: tuple[Point, Point] | None = None,
        label: str = "",
        all_slices: bool = False,
        report: Report = silent,
    ) -> Volume:
        """Segment what points and a box mark. It needs no training. Give all points in each call.

        Args:
            study: from `open_study`, with this model's target.
            sequence: the sequence whose voxels you count; empty: the study's reference.
            foreground: (i, j, k) voxel indices on the object, as nibabel indexes the stored file.
            background: the same, outside the object.
            box: two opposite corner voxels; both are inside.
            label: name of the label; empty: the target's first.
            all_slices: propagate the mask to the neighbouring slices, until the object ends.
            report: called with (stage, done, total) before each slice; it may raise to stop.

        Returns:
            (X, Y, Z) uint8 with the label's value, on the grid of `sequence` as stored.

        Raises:
            InputError: a point lies outside the image, or on a slice without tissue.
            UnknownNameError: the target has no such label.
        """
        self._refuse_other_target(study)
        given = Prompt(sequence, foreground, background, box, label)
        prompts, k = read_prompt(given, study, self.target)
        limits = limits_for(study, all_slices=all_slices)
        label_map = self._clicks.segment(study.stack, prompts, limits=limits, report=report)
        value = self.target.labels[k].value
        marked = (label_map == k + 1).astype(np.uint8) * np.uint8(value)
        on_canonical = Volume(marked, study.grid.affine_ras)
        return to_grid(on_canonical, grid_of(study, sequence), order=0, fill=0.0)

    def train(
        self,
        folder: str | Path,
        labels: str | Path | None = None,
        *,
        pattern: str | None = None,
        convention: str | None = None,
        told: Callable[[ImportLine], object] = str,
        report: Report = silent,
        progress: Progress = ignore_progress,
        **recipe: object,
    ) -> TrainResult:
        """Train on the studies of a folder that have a final label. The result is then served.

        Args:
            folder: the studies folder.
            labels: folder of masks that are named after the studies. They are imported first, with
                the checks of `zeus import-labels`; None: nothing is imported.
            pattern: glob that chooses among several of these masks of a study.
            convention: the data set whose values these masks have.
            told: called with what became of each study's mask, and with each mask not taken.
            report: called with (stage, done, total) while studies are prepared.
            progress: called with (epoch, done, total) after every batch and validated study.
            recipe: parameters of the training, as POST /train takes them; for example
                time_budget_s=300 (seconds), or recipe="paper".

        Returns:
            The new version (`checkpoint.version`), and its mean validation Dice in [0, 1]
            (`checkpoint.score`), None without validation.

        Raises:
            InputError: no study has a usable label, or a parameter is invalid.
            LockedError: another training writes the same checkpoints.
        """
        from zeus_app.pipeline.plugins import learner_of
        from zeus_app.profiles import load_profile
        from zeus_app.profiles.fitting import refuse_idle_lora
        from zeus_app.settings.recipes import with_recipe

        config = with_recipe(recipe, learner_of(self.config))
        if self.config.model == "zeus":
            refuse_idle_lora(self.config, load_profile(self.config.profile), config)
        upgrade_once(self.state, Path(folder), self.target)
        if labels is not None:
            imported = import_into_store(
                Path(folder), self.config, pattern=pattern, convention=convention,
                masks=Path(labels),
            )  # fmt: skip
            for line in imported:
                told(line)
        labelled = self._labelled(Path(folder), None if labels is None else Path(labels))
        result = self._segmenter.fit(labelled, config, report=report, progress=progress)
        self._checkpoints = Checkpoints(self.state.checkpoints)
        return result

    def _labelled(self, folder: Path, masks: Path | None) -> list[LabelledStudy]:
        """The studies of a folder that have a final label. Masks below it are no studies."""
        history = LabelHistory(self.state.labels)
        pseudonym_of = Pseudonyms.of_folder(self.state.root).of  # as a server's trainings have them
        apart = [self.state.root]
        if masks is not None and masks.resolve() != folder.resolve():
            apart.append(masks)
        found = find_studies(folder, self.target, skip=apart).studies
        labelled = [
            with_final_label(
                replace(files, patient=pseudonym_of(files.patient)), history, self.target
            )
            for files in found.values()
            if history.newest(files.id, FINAL)
        ]
        if not labelled:
            raise InputError(
                f"a training without labels: none of {len(found)} studies has one",
                expected="at least one study with a final label",
                remedy="name a folder of masks, submit labels to a server, or run"
                " `zeus import-labels`",
            )
        return labelled

    @cached_property
    def _segmenter(self) -> "Segmenter":
        from zeus_app.build import build_segmenter

        segmenter = build_segmenter(self._without_clients(), self.state)
        segmenter.pin(self._checkpoints)
        return segmenter

    @cached_property
    def _clicks(self) -> "ClickSegmenter":
        from zeus_app.build import build_clicks

        return build_clicks(self._without_clients(), self.state, shared_with=self._segmenter)

    def _without_clients(self) -> ZeusConfig:
        """The settings, with larger batches on a CPU: no click waits for the end of one."""
        from zeus_app.devices import choose_device

        if self.config.encoder_batch or choose_device(self.config.device).type != "cpu":
            return self.config
        return self.config.model_copy(update={"encoder_batch": PICTURES_AT_ONCE_CPU})

    def _refuse_other_target(self, study: OpenedStudy) -> None:
        if study.stack.sequences != self.target.sequence_names:
            raise InputError(
                f"study {study.id!r}, opened with {', '.join(study.stack.sequences)}",
                expected=f"{', '.join(self.target.sequence_names)}, of target {self.target.name}",
                remedy="open it with the target of the model",
            )
