"""The way of a study, from its files to its segmentation. The one place that knows the order."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from zeus_app.devices import autocast, batch_size, halving, moved
from zeus_app.metrics import mean_dice
from zeus_app.models.fusion import label_indices, unite
from zeus_app.pipeline.instructor import check_scope
from zeus_app.progress import Report, silent
from zeus_app.protocols import Model, Prepared
from zeus_app.settings.config import TrainConfig, ZeusConfig
from zeus_app.studies.align import to_grid
from zeus_app.studies.opened import OpenedStudy
from zeus_app.studies.slices import to_voxels
from zeus_app.targets import Target
from zeus_app.training.checkpoint import UNTRAINED, Checkpoints
from zeus_app.training.fitter import Fitter
from zeus_app.training.loop import Progress, TrainResult
from zeus_app.training.preparation import check_space
from zeus_app.types import (
    FloatArray,
    Guidance,
    LabelArray,
    LabelledStudy,
    Segmentation,
    SliceFrame,
    SliceStack,
    Volume,
)


@dataclass
class Stopwatch:
    """Milliseconds by stage, summed over repetitions."""

    latencies_ms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        began = perf_counter()
        try:
            yield
        finally:
            spent = 1000 * (perf_counter() - began)
            self.latencies_ms[name] = self.latencies_ms.get(name, 0.0) + spent


class Segmenter:
    """A model, a target and its checkpoints: segments studies and learns from labelled ones.

    Args:
        config: what was assembled.
        target: what is segmented.
        model: the network.
        checkpoints: its versions.
        split_path: the file that remembers which patients are held back.
        keep_folder: where embeddings are kept, for the space check.
        device: of the trainable part.
    """

    def __init__(
        self,
        *,
        config: ZeusConfig,
        target: Target,
        model: Model,
        checkpoints: Checkpoints,
        split_path: Path,
        keep_folder: Path,
        device: torch.device,
    ) -> None:
        self.config, self.target, self.model = config, target, model
        self.checkpoints, self.device = checkpoints, device
        self._split_path, self._keep_folder = split_path, keep_folder
        self._initial = {k: v.clone() for k, v in model.trainable.state_dict().items()}
        self._loaded = UNTRAINED
        self._fitted_to = {
            **model.tower_ids,
            "labels": ", ".join(f"{label.name} {label.value}" for label in target.labels),
            "sequences": ", ".join(target.sequence_names),
        }

    def reload(self) -> str:
        """Load the served weights if they are not loaded yet; returns their version."""
        served = self.checkpoints.served()
        version = served.version if served else UNTRAINED
        if version != self._loaded:
            self._load(version)
        return version

    def segment(
        self, study: OpenedStudy, *, guidance: Guidance | None = None, report: Report = silent
    ) -> Segmentation:
        """Segment one study.

        Args:
            study: its slices and grids; `studies.opened.open_study` makes them of a Study.
            guidance: what the user wishes of the instructions.
            report: told about each batch; may raise CancelledError.

        Returns:
            Label maps on the source grid of the target's reference sequence.

        Raises:
            InputError: the guidance does not fit this server's settings, or the served weights do
                not fit this model.
        """
        guidance = guidance or Guidance()
        check_scope(guidance.scope, self.config.instruction)
        watch = Stopwatch()
        with watch.stage("load weights"):
            version = self.reload()
        with watch.stage("encode and instruct"):
            prepared = self.model.prepare(
                study.stack, guidance=guidance, report=report, keep_pixels=True
            )
        maps = self._decode(prepared, study.stack.frame, watch, report)
        union, *branches = [self._restored(indices, study) for indices in maps]
        # Those of this study's sequences; early fusion has none.
        own = {
            name: volume
            for name, volume in zip(self.model.branches, branches, strict=True)
            if name in study.used
        }
        return Segmentation(
            study_id=study.id,
            label_map=union,
            sequence_label_maps=own,
            instructions=prepared.instructions,
            used=study.used,
            missing=study.missing,
            agreement=self._agreement(own, union),
            volumes_ml=self._volumes_ml(union),
            latencies_ms=watch.latencies_ms,
            checkpoint=version,
            notes=_notes(version, union),
        )

    def prepare(
        self,
        stack: SliceStack,
        *,
        report: Report = silent,
        wanted: Callable[[], Collection[int]] = tuple,
    ) -> None:
        """Encode a study into the cache, so that whatever is asked next finds it there.

        Picture by picture, so that what is more urgent waits for one alone. No text is written.

        Args:
            stack: its pictures.
            report: told before each picture, in slices; may raise, or wait.
            wanted: axial indices on the canonical grid to encode next; asked before each slice.
        """
        if not self.model.bytes_to_keep(1):
            return  # no tower to run
        left = [int(s) for s in np.flatnonzero(stack.tissue.any(axis=0))]
        total = len(left)
        for done in range(total):
            left.remove(chosen := next((s for s in wanted() if s in left), left[0]))
            for sequence in np.flatnonzero(stack.tissue[:, chosen]):
                report("encoding", done, total)
                tissue = np.zeros_like(stack.tissue)
                tissue[sequence, chosen] = True
                self.model.prepare(
                    replace(stack, tissue=tissue),
                    guidance=Guidance(scope="none"),
                    report=silent,
                    keep_pixels=False,
                )

    def fit(
        self,
        studies: Sequence[LabelledStudy],
        config: TrainConfig,
        *,
        report: Report = silent,
        progress: Progress = lambda epoch, done, total: None,
    ) -> TrainResult:
        """Learn from labelled studies; the best weights are published and served.

        Args:
            studies: with labels on any grid of theirs.
            config: the recipe.
            report: told while studies are prepared.
            progress: told after every training batch.

        Raises:
            InputError: nothing to learn from, or not enough disk space for the embeddings.
        """
        chosen = {study.id: study for study in studies if study.id not in config.excluded}
        check_space(
            list(chosen.values()),
            model=self.model,
            wanted=self.target.sequence_names,
            folder=self._keep_folder,
            limit_gib=self.config.cache_gib,
        )
        fitter = Fitter(
            model=self.model,
            target=self.target,
            checkpoints=self.checkpoints,
            load=self._load,
            fitted_to=self._fitted_to,
            split_path=self._split_path,
            device=self.device,
            union=self.config.union,
            threshold=self.config.threshold,
            report=report,
            progress=progress,
        )
        try:
            return fitter.fit(chosen, config)
        finally:
            self._loaded = ""  # the network holds the last step, not what is served

    def _load(self, version: str) -> None:
        state: Mapping[str, torch.Tensor] = (
            self._initial
            if version == UNTRAINED
            else self.checkpoints.load(version, fitted_to=self._fitted_to)
        )
        self.model.trainable.load_state_dict(state)
        self._loaded = version

    @torch.inference_mode()
    def _decode(
        self, prepared: Prepared, frame: SliceFrame, watch: Stopwatch, report: Report
    ) -> LabelArray:
        """(1 + M, X, Y, S) label indices on the canonical grid: the union, then each branch."""
        self.model.trainable.eval()
        x, y, slices = frame.grid.shape
        maps = np.zeros((1 + len(self.model.branches), x, y, slices), np.uint8)
        seen = [int(s) for s in np.flatnonzero(prepared.present.any(axis=1))]
        at_once = batch_size(self.config.batch_slices, self.device, gpu=8, cpu=2)
        for start in range(0, len(seen), at_once):
            report("decoding", start, len(seen))
            rows = seen[start : start + at_once]
            with watch.stage("decode"):
                found = halving(partial(self._probabilities, prepared), rows)
            with watch.stage("unite"):
                for index, pictures in enumerate(np.stack(found, axis=2)):  # (K, B, 256, 256)
                    voxels = torch.from_numpy(to_voxels(pictures, frame))  # (K, X, Y, B)
                    labels = label_indices(voxels, threshold=self.config.threshold)
                    maps[index][..., rows] = labels.numpy()
        report("decoding", len(seen), len(seen))
        return maps

    def _probabilities(self, prepared: Prepared, rows: Sequence[int]) -> list[FloatArray]:
        """(1 + M, K, 256, 256) of each slice: of the union, then of each branch."""
        batch = {name: moved(value, self.device) for name, value in prepared.batch(rows).items()}
        with autocast(self.device):
            logits = self.model.logits(batch).float()
        present = batch["present"]
        both = [unite(logits, present, union=self.config.union)]
        both += [unite(logits[:, m : m + 1], present[:, m : m + 1]) for m in range(logits.shape[1])]
        return list(torch.stack(both, dim=1).cpu().numpy())

    def _restored(self, indices: LabelArray, study: OpenedStudy) -> Volume:
        """Label indices on the canonical grid -> the target's values on the source grid."""
        values = np.array([0, *self.target.label_values.values()], np.uint8)
        on_grid = Volume(values[indices], study.grid.affine_ras)
        return to_grid(on_grid, study.source_grid, order=0, fill=0.0)

    def _agreement(self, own: Mapping[str, Volume], union: Volume) -> dict[str, float]:
        values = list(self.target.label_values.values())
        return {name: mean_dice(one.array, union.array, values) for name, one in own.items()}

    def _volumes_ml(self, union: Volume) -> dict[str, float]:
        voxel_ml = union.grid.voxel_ml
        return {
            label.name: float((union.array == label.value).sum() * voxel_ml)
            for label in self.target.labels
        }


def _notes(version: str, union: Volume) -> tuple[str, ...]:
    notes = []
    if version == UNTRAINED:
        notes.append("untrained model: this mask means nothing before a training")
    if not union.array.any():
        notes.append("empty mask: nothing was found")
    return tuple(notes)
