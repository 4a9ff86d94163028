"""The way of a study: prepare, decode, unite, and bring back to the source grid."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from zeus_app.devices import batch_size, return_freed_memory, split_when_out_of_memory
from zeus_app.metrics import mean_dice
from zeus_app.models.fusion import label_indices
from zeus_app.pipeline.decoded import DecodedCache, DecodedStudy
from zeus_app.pipeline.instructor import check_scope
from zeus_app.progress import Report, silent
from zeus_app.protocols import Model, Prepared
from zeus_app.settings.config import TrainConfig, ZeusConfig
from zeus_app.studies.align import to_grid
from zeus_app.studies.opened import OpenedStudy
from zeus_app.studies.slices import to_voxels
from zeus_app.targets import Target
from zeus_app.training.checkpoint import UNTRAINED, Checkpoints
from zeus_app.training.fitter import fit
from zeus_app.training.loop import Progress, TrainResult, ignore_progress
from zeus_app.training.predict import predict
from zeus_app.training.setup import TrainingSetup
from zeus_app.types import (
    MIB,
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
        """Time the code inside."""
        began = perf_counter()
        try:
            yield
        finally:
            duration = 1000 * (perf_counter() - began)
            self.latencies_ms[name] = self.latencies_ms.get(name, 0.0) + duration


class Segmenter:
    """A model, a target and its checkpoints: segments studies and trains on labelled ones.

    Args:
        config: the settings of the server or command.
        target: the labels to segment, and the sequences to read.
        model: the network.
        checkpoints: folder of the model's versions.
        split_path: JSON file with each patient's side of the split.
        cache_folder: folder of the embedding cache.
        device: device of the trainable part.

    Attributes:
        training: what every training of the model shares.
    """

    def __init__(
        self,
        *,
        config: ZeusConfig,
        target: Target,
        model: Model,
        checkpoints: Checkpoints,
        split_path: Path,
        cache_folder: Path,
        device: torch.device,
    ) -> None:
        self.config, self.target, self.model = config, target, model
        self.checkpoints, self.device = checkpoints, device
        self.training = TrainingSetup(
            model=model,
            target=target,
            checkpoints=checkpoints,
            initial_state={k: v.clone() for k, v in model.trainable.state_dict().items()},
            split_path=split_path,
            device=device,
            union=config.chosen_union,
            threshold=config.threshold,
            cache_folder=cache_folder,
            cache_limit_gib=config.cache_gib,
        )
        self._loaded = UNTRAINED
        self._decoded = DecodedCache(limit_bytes=config.open_mib * MIB)

    def reload(self) -> str:
        """Load the served weights if they are not loaded yet; return their version."""
        served = self.checkpoints.served()
        version = served.version if served else UNTRAINED
        if version != self._loaded:
            replace(self.training, checkpoints=self.checkpoints).load(version)
            self._loaded = version
        return version

    def pin(self, checkpoints: Checkpoints) -> None:
        """Segment with the served version of these checkpoints, until the next training.

        Called before the first study: label maps that are kept go by the name of a version.

        Args:
            checkpoints: may be another folder than that of the trainings.
        """
        self.checkpoints = checkpoints

    def segment(
        self, study: OpenedStudy, *, guidance: Guidance | None = None, report: Report = silent
    ) -> Segmentation:
        """Segment one study.

        The same opened study, weights and guidance are decoded once; `latencies_ms` then lacks the
        stages that were not repeated.

        Args:
            study: a study that `studies.opened.open_study` has aligned and cut into slices.
            guidance: the user's own texts and scope for the instructions.
            report: called before each batch; may raise CancelledError.

        Returns:
            Label maps on the source grid of the target's reference sequence.

        Raises:
            InputError: the guidance contradicts the settings, or the served weights belong to
                another model.
        """
        guidance = guidance or Guidance()
        check_scope(guidance.scope, self.config.instruction)
        watch = Stopwatch()
        with watch.stage("load weights"):
            version = self.reload()
        decoded = self._decoded.get(study.stack, version, guidance)
        if decoded is None:
            decoded = self._decode(study.stack, guidance, watch, report)
            self._decoded.save(study.stack, version, guidance, decoded)
        report("decoded", 1, 1)
        union, *branches = [self._on_source_grid(indices, study) for indices in decoded.maps]
        # Early fusion has one branch, which is no sequence.
        sequence_maps = {
            name: volume
            for name, volume in zip(self.model.branches, branches, strict=True)
            if name in study.used
        }
        return Segmentation(
            study_id=study.id,
            label_map=union,
            sequence_label_maps=sequence_maps,
            instructions=decoded.instructions,
            used=study.used,
            missing=study.missing,
            agreement=self._agreement(sequence_maps, union),
            volumes_ml=self._volumes_ml(union),
            latencies_ms=watch.latencies_ms,
            checkpoint=version,
            notes=_notes(version, union, study.left_out),
        )

    def prepare(
        self,
        stack: SliceStack,
        *,
        report: Report = silent,
        first: Callable[[], Collection[int]] = tuple,
    ) -> None:
        """Encode a study into the cache, so that later requests find its embeddings there.

        Pictures are encoded one by one, so that a more urgent job waits for one picture only. No
        instruction is generated.

        Args:
            stack: the study's slices.
            report: called before each picture, counted in slices; may wait, or raise.
            first: returns axial slices on the canonical grid to encode next. It is called before
                each slice.
        """
        if not self.model.cache_bytes(1):
            return  # the model has no towers
        remaining = [int(s) for s in np.flatnonzero(stack.tissue.any(axis=0))]
        total = len(remaining)
        for done in range(total):
            chosen = next((s for s in first() if s in remaining), remaining[0])
            remaining.remove(chosen)
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
        progress: Progress = ignore_progress,
    ) -> TrainResult:
        """Train on labelled studies; see `training.fitter.fit`."""
        try:
            return fit(self.training, studies, config, report=report, progress=progress)
        finally:
            self.checkpoints = self.training.checkpoints
            self._loaded = ""  # the network holds the last step's weights, not the served ones

    def _decode(
        self, stack: SliceStack, guidance: Guidance, watch: Stopwatch, report: Report
    ) -> DecodedStudy:
        """Run the frozen towers, through their caches, and the decoder over a study's slices."""
        with watch.stage("encode and instruct"):
            prepared = self.model.prepare(stack, guidance=guidance, report=report, keep_pixels=True)
        maps = self._label_maps(prepared, stack.frame, watch, report)
        return_freed_memory()  # otherwise a server keeps hundreds of MiB that it does not use
        return DecodedStudy(maps, prepared.instructions)

    @torch.inference_mode()
    def _label_maps(
        self, prepared: Prepared, frame: SliceFrame, watch: Stopwatch, report: Report
    ) -> LabelArray:
        """(1 + M, X, Y, S) label indices on the canonical grid: the union, then each branch."""
        self.model.trainable.eval()
        x, y, slices = frame.grid.shape
        maps = np.zeros((1 + len(self.model.branches), x, y, slices), np.uint8)
        tissue_slices = [int(s) for s in np.flatnonzero(prepared.present.any(axis=1))]
        batch = batch_size(self.config.batch_slices, self.device, gpu=8, cpu=2)
        for start in range(0, len(tissue_slices), batch):
            report("decoding", start, len(tissue_slices))
            rows = tissue_slices[start : start + batch]
            with watch.stage("decode"):
                decode = partial(self._probabilities, prepared)
                probabilities = split_when_out_of_memory(decode, rows)
            with watch.stage("unite"):
                by_map = np.stack(probabilities, axis=2)  # (1 + M, K, B, 256, 256)
                for index, pictures in enumerate(by_map):
                    voxels = torch.from_numpy(to_voxels(pictures, frame))  # (K, X, Y, B)
                    labels = label_indices(voxels, threshold=self.config.threshold)
                    maps[index][..., rows] = labels.numpy()
        report("decoding", len(tissue_slices), len(tissue_slices))
        return maps

    def _probabilities(self, prepared: Prepared, rows: Sequence[int]) -> list[FloatArray]:
        """(1 + M, K, 256, 256) probabilities per slice: of the union, then of each branch."""
        decoded = predict(self.model, prepared, rows, device=self.device)
        maps = torch.cat([decoded.union[:, None], decoded.branches], dim=1)
        return list(torch.sigmoid(maps).cpu().numpy())

    def _on_source_grid(self, indices: LabelArray, study: OpenedStudy) -> Volume:
        """Label indices on the canonical grid -> the target's values on the source grid."""
        values = np.array([0, *self.target.label_values.values()], np.uint8)
        on_grid = Volume(values[indices], study.grid.affine_ras)
        return to_grid(on_grid, study.source_grid, order=0, fill=0.0)

    def _agreement(self, sequence_maps: Mapping[str, Volume], union: Volume) -> dict[str, float]:
        """Sequence name -> mean Dice of its own label map with the union's."""
        values = list(self.target.label_values.values())
        return {
            name: mean_dice(label_map.array, union.array, values)
            for name, label_map in sequence_maps.items()
        }

    def _volumes_ml(self, union: Volume) -> dict[str, float]:
        voxel_ml = union.grid.voxel_ml
        return {
            label.name: float((union.array == label.value).sum() * voxel_ml)
            for label in self.target.labels
        }


def _notes(version: str, union: Volume, left_out: Mapping[str, str]) -> tuple[str, ...]:
    notes = [f"without {sequence}: {reason}" for sequence, reason in left_out.items()]
    if version == UNTRAINED:
        notes.append("untrained model: this mask means nothing before a training")
    if not union.array.any():
        notes.append("empty mask: nothing was found")
    return tuple(notes)
