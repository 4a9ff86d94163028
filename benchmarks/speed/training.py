"""Training: an epoch with cached embeddings or encoding each time; a step against the decoder."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
import torch

from benchmarks.speed.bench import Bench
from benchmarks.speed.figures import AIMS, Figure
from benchmarks.speed.profiles import of_operators
from benchmarks.speed.synthetic_study import SyntheticStudy
from benchmarks.speed.timing import ratio, seconds_of
from zeus_app.devices import autocast
from zeus_app.labels.pictures import label_pictures
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.pipeline.zeus import PreparedStudy, Zeus
from zeus_app.progress import silent
from zeus_app.protocols import Batch, ImageEncoder
from zeus_app.settings.config import TrainConfig
from zeus_app.training.cases import Case, TrainingCases, collate, make_case
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.training.loop import Epoch, Trainer
from zeus_app.types import FloatArray, Guidance, Volume

PAPER_BATCH = 10


@dataclass(frozen=True)
class EachTime:
    """Replaces the cache of embeddings, and encodes at every read."""

    encoder: ImageEncoder

    def get(self, key: str, picture: FloatArray) -> FloatArray:
        """The (256, 64, 64) embedding of a (256, 256) picture."""
        return cast(FloatArray, self.encoder.encode(picture[None])[0])


def make_prepared_case(bench: Bench, segmenter: Segmenter, study: SyntheticStudy) -> Case:
    """The encoded study with its label. The names of label and sequence are its instruction."""
    stack = bench.stack(study)
    image = nib.load(study.label)
    label = Volume(np.asarray(image.dataobj, np.uint8), image.affine)
    masks = label_pictures(label, stack.frame, tuple(bench.target.label_values.values()))
    prepared = segmenter.model.prepare(
        stack, guidance=Guidance(scope="none"), report=silent, keep_pixels=True
    )
    return make_case(study.name, prepared, masks)


class Clock:
    """A progress callback that records the seconds of every step but the first of each epoch."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self._last = 0.0

    def __call__(self, epoch: Epoch, done: int, total: int) -> None:
        """Record the seconds of the last step."""
        now = time.perf_counter()
        if done > 1:
            self.steps.append(now - self._last)
        self._last = now


def train(
    segmenter: Segmenter, case: Case, folder: Path, *, batch: int, epochs: int, clock: Clock
) -> float:
    """Train on every slice once per epoch. Returns the seconds of the first epoch."""
    config = TrainConfig(
        epochs=epochs, batch_slices=batch, foreground=0, validation_fraction=0, resume=False
    )
    setup = replace(segmenter.training, checkpoints=Checkpoints(folder))
    result = Trainer(setup, TrainingCases([case]), config, progress=clock).fit()
    return result.epochs[0].seconds


def measure_epoch(bench: Bench) -> list[Figure]:
    """epoch_speedup: one label, batches of ten, every slice with its four sequences."""
    study = bench.study("epoch", slices=bench.sizes.epoch_slices)
    segmenter = bench.segmenter()
    case = make_prepared_case(bench, segmenter, study)
    each_time = replace(
        case, prepared=replace(cast(Any, case.prepared), images=EachTime(bench.eager))
    )
    folder = bench.folder / "epochs"

    def epoch(of: Case) -> float:
        return train(segmenter, of, folder, batch=PAPER_BATCH, epochs=1, clock=Clock())

    epoch(case)  # the first is slower
    cached_s, encoding = [], []
    for repetition in range(max(bench.sizes.short, bench.sizes.long)):
        cached_s.append(epoch(case))
        if repetition < bench.sizes.long:
            encoding.append(epoch(each_time))
    return [
        Figure(
            "epoch_speedup",
            ratio(encoding, cached_s),
            {
                "encoding each time, s": encoding,
                "from the cache, s": cached_s,
                "slices": len(case.tissue_slices),
                "sequences": len(bench.target.sequences),
            },
            note="the step in our own precision in both; only the encoding differs",
        )
    ]


def measure_step(bench: Bench) -> list[Figure]:
    """step_over_decoder, and the same step in embedding mode."""
    study = bench.study("study")
    size, folder = bench.sizes.step_slices, bench.folder / "steps"
    segmenter = bench.segmenter()
    case = make_prepared_case(bench, segmenter, study)
    batch, _ = collate([case], [(0, s) for s in case.tissue_slices[:size]])
    decoder = bare_decoder(segmenter, batch)
    decoder()
    before = [seconds_of(lambda _: decoder()) for _ in range(bench.sizes.short)]
    clock = Clock()
    train(segmenter, case, folder, batch=size, epochs=2, clock=clock)
    bare = before + [seconds_of(lambda _: decoder()) for _ in range(bench.sizes.short)]
    over = ratio(clock.steps, bare)
    through = bench.segmenter("embedding")
    embedded = Clock()
    train(
        through, make_prepared_case(bench, through, study), folder, batch=size, epochs=1,
        clock=embedded,
    )  # fmt: skip
    profile = () if AIMS["step_over_decoder"].reached(over) else _profile(segmenter, case, bench)
    return [
        Figure(
            "step_over_decoder",
            over,
            {
                "step, s": clock.steps,
                "decoder forward and backward, s": bare,
                "step in embedding mode, s": embedded.steps,
                "embedding mode over the decoder": ratio(embedded.steps, bare),
                "slices": size,
                "decoded pictures": int(batch["present"].sum()),
            },
            profile=profile,
        )
    ]


def bare_decoder(segmenter: Segmenter, batch: Batch) -> Any:
    """A forward and backward pass of F_pred alone, in the precision of a step.

    Its inputs exist already, and the loss is a sum. No other part of a step is measured.
    """
    net = cast(Zeus, segmenter.model).trainable
    present = batch["present"]
    with torch.no_grad(), autocast(segmenter.device):
        aligned = net.aligner(batch["texts"])[present]
    prompts = aligned.detach().requires_grad_()
    embeddings = batch["embeddings"][present].to(prompts.dtype)

    def run() -> None:
        net.zero_grad(set_to_none=True)
        net.train()
        with autocast(segmenter.device):
            logits = net.decoders[0](embeddings, prompts)
        torch.autograd.backward(logits.sum())

    return run


def _profile(segmenter: Segmenter, case: Case, bench: Bench) -> Any:
    """Operators inside an epoch of a single step."""
    size = bench.sizes.step_slices
    prepared = cast(PreparedStudy, case.prepared)
    present = prepared.present.copy()
    present[case.tissue_slices[size:]] = False
    one_step = replace(case, prepared=replace(prepared, present=present))
    folder = bench.folder / "steps"
    return of_operators(
        lambda: train(segmenter, one_step, folder, batch=size, epochs=1, clock=Clock())
    )
