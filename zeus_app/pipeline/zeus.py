"""Zeus (section 3 of the paper): each sequence is segmented alone, and the masks are united.

The frozen towers are handed in. The trainable parts are the projection f_vt, the aligner f_tt and
the mask decoder F_pred.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from zeus_app.devices import autocast
from zeus_app.encoders.cached import CachedImageEncoder
from zeus_app.models.aligner import BothAligner, EmbeddingAligner, TextAligner
from zeus_app.models.net import ReadOutNet, ZeusNet
from zeus_app.pipeline.instructor import AlignerInputs, Instructor
from zeus_app.pipeline.second_look import HasEmbeddings, SecondLook
from zeus_app.pipeline.slice_inputs import Keys, SliceInputs, WholeEmbeddings, whole_embeddings
from zeus_app.progress import Report
from zeus_app.protocols import Batch, Decoded, Prepared
from zeus_app.training.cases import Case
from zeus_app.training.predict import batch_on
from zeus_app.types import (
    EMBEDDING_SHAPE,
    BoolArray,
    FloatArray,
    Guidance,
    Instruction,
    SliceStack,
)

MakeInputs = Callable[[WholeEmbeddings, SliceStack], SliceInputs]
"""Makes what the decoder reads of a study."""

SAMPLED_SLICES, SAMPLED_STEP = 12, 4
"""Slices per study and sequence, and every how many cells, that the compression is measured on."""


@dataclass(frozen=True, eq=False)
class PreparedStudy:
    """A study after the frozen towers: its embeddings in the cache, and its instructions.

    Attributes:
        present: (S, M) bool, whether a sequence shows tissue on a slice.
        instructions: every instruction that was encoded.
        inputs: what the decoder reads.
        prompts: inputs of the aligner.
    """

    present: BoolArray
    instructions: tuple[Instruction, ...]
    inputs: SliceInputs
    prompts: AlignerInputs

    def batch(self, slices: Sequence[int]) -> Batch:
        """Tensors of B slices: present (B, M), the decoder's inputs, and the aligner's."""
        return {
            "present": torch.from_numpy(self.present[list(slices)]),
            **self.inputs.batch(slices),
            **{
                name: torch.from_numpy(rows[list(slices) if len(rows) > 1 else [0] * len(slices)])
                for name, rows in self.prompts.items()
            },
        }

    def sampled_cells(self) -> FloatArray:
        """(N, 256) float32: some cells of some slices, evenly spaced."""
        cells = []
        for m, slices in enumerate(self.present.T):
            shown = np.flatnonzero(slices)
            chosen = shown[:: max(1, math.ceil(len(shown) / SAMPLED_SLICES))]
            embeddings = [self.inputs.embedding(m, int(s)) for s in chosen]
            cells += [
                e[:, ::SAMPLED_STEP, ::SAMPLED_STEP].reshape(len(e), -1).T for e in embeddings
            ]
        sampled: FloatArray = np.concatenate(cells).astype(np.float32)
        return sampled


class Zeus:
    """The model behind `--conf model zeus`.

    Args:
        branches: names of the target's sequences.
        net: the trainable parts.
        images: F_enc behind the cache.
        instructor: F_v, F_LLM and F_t.
        mode: "text", "embedding" or "both".
        device: device of the trainable parts.
        make_inputs: makes what the decoder reads of a study.
        decoder: name of the decoder, for checkpoints; "" for SAM's.
        look: draws masks again; None for masks as they are decoded.
    """

    def __init__(
        self,
        *,
        branches: tuple[str, ...],
        net: ZeusNet,
        images: CachedImageEncoder,
        instructor: Instructor,
        mode: str,
        device: torch.device,
        make_inputs: MakeInputs = whole_embeddings,
        decoder: str = "",
        look: SecondLook | None = None,
    ) -> None:
        self.branches = branches
        self.trainable = net.to(device)
        self.tower_ids = {
            "image encoder": images.encoder.id,
            **instructor.tower_ids,
            "instruction": mode,
            **({"decoder": decoder} if decoder else {}),
        }
        self.images, self._instructor, self._make_inputs = images, instructor, make_inputs
        self._mode, self._device, self._look = mode, device, look

    @property
    def text_scope(self) -> str:
        """The scope of the texts, if a request names none."""
        return self._instructor.scope

    def write_texts_as(self, recorded: str | None) -> None:
        """Take the scope of a version; see `protocols.WritesTexts`."""
        self._instructor.write_as(recorded)

    def cache_bytes(self, pictures: int) -> int:
        """Bytes of float16 embeddings of 256×64×64."""
        return pictures * math.prod(EMBEDDING_SHAPE) * np.float16().itemsize

    @property
    def reads_text(self) -> bool:
        """Whether the decoder reads texts."""
        return self._mode != "embedding"

    def prepare(
        self, stack: SliceStack, *, guidance: Guidance, report: Report, keep_pixels: bool
    ) -> PreparedStudy:
        """Encode every slice with tissue and generate every instruction, unless they are cached."""
        keys = self._encode(stack, report, pin=not keep_pixels)
        instructions, prompts = self._instructor.instruct(
            stack, guidance=guidance, mode=self._mode, project=self._project, report=report
        )
        present = stack.tissue.T.copy()
        pixels = stack.pixels if keep_pixels else None
        whole = WholeEmbeddings(self.images, keys, present, pixels)
        return PreparedStudy(present, instructions, self._make_inputs(whole, stack), prompts)

    def pin_embeddings(self) -> AbstractContextManager[None]:
        """Within this context, the cache evicts no embedding of studies prepared without pixels."""
        return self.images.pin_embeddings()

    def calibrate(self, studies: Sequence[Prepared]) -> None:
        """Measure the compression, and what the instructions of these studies share."""
        prepared = cast(Sequence[PreparedStudy], studies)
        if isinstance(self.trainable, ReadOutNet):
            cells = np.concatenate([study.sampled_cells() for study in prepared])
            self.trainable.compression.fit(torch.from_numpy(cells).to(self._device))
        if self._mode == "embedding":
            return
        aligner = self.trainable.aligner
        aligner = cast(TextAligner, aligner.text if isinstance(aligner, BothAligner) else aligner)
        texts = np.concatenate([study.prompts["texts"] for study in prepared])  # (N, M, K, D)
        has_text = texts.any(axis=-1)  # a slice without tissue has no instruction
        groups = np.arange(has_text[0].size).reshape(has_text.shape[1:])
        device = aligner.center.device
        aligner.calibrate(
            torch.from_numpy(texts[has_text]).to(device),
            torch.from_numpy(np.broadcast_to(groups, has_text.shape)[has_text]).to(device),
        )

    @contextmanager
    def through_last_layer(self) -> Iterator[None]:
        """Within this context: embedding mode with a new aligner, so that gradients reach f_vt.

        Raises:
            InputError: the profile has no projection from pictures to an LLM, or the settings name
                the scope in which the LLM sees no picture.
        """
        self._instructor.show_pictures()
        aligner, mode = self.trainable.aligner, self._mode
        last_layer = EmbeddingAligner(self._instructor.llm.hidden).to(self._device)
        self.trainable.aligner, self._mode = last_layer, "embedding"
        try:
            yield
        finally:
            self.trainable.aligner, self._mode = aligner, mode

    def take_projection(self, state: Mapping[str, torch.Tensor]) -> None:
        """Load f_vt and LoRA, and nothing else, from weights trained through the last layer.

        In text mode no gradient reaches them, so they keep these weights. The texts are then
        generated with them, and with pictures.
        """
        self._instructor.show_pictures()
        trained = {k: v for k, v in state.items() if k.startswith(("projector.", "lora."))}
        self.trainable.load_state_dict({**self.trainable.state_dict(), **trained})

    def decode(self, batch: Batch, *, branches: bool = True) -> Decoded:
        """Logits of the sequences and of their union."""
        return self.trainable.decode(batch, self._aligned(batch), branches=branches)

    def second_look(
        self, prepared: Prepared, slices: Sequence[int], union: torch.Tensor
    ) -> torch.Tensor:
        """Draw the masks of (B, K, 256, 256) logits again, if this model takes a second look."""
        return (
            self._look.draw(cast(PreparedStudy, prepared), slices, union) if self._look else union
        )

    def choose_second_look(self, cases: Sequence[Case]) -> None:
        """Choose on training cases which labels are drawn again."""
        if self._look is None:
            return
        self.trainable.eval()

        def decode(prepared: HasEmbeddings, slices: Sequence[int]) -> torch.Tensor:
            batch = batch_on(self._device, cast(PreparedStudy, prepared), slices)
            return self.decode(batch, branches=False).union.float()

        with torch.inference_mode(), autocast(self._device):
            self._look.choose(cases, decode)

    def _project(self, features: FloatArray) -> torch.Tensor:
        """(N, T, C) features -> (N, P, hidden) image tokens."""
        tokens: torch.Tensor = self.trainable.projector(torch.from_numpy(features).to(self._device))
        return tokens

    def _encode(self, stack: SliceStack, report: Report, *, pin: bool) -> Keys:
        where = [(int(m), int(s)) for m, s in np.argwhere(stack.tissue)]
        pictures = [stack.pixels[index] for index in where]
        keys = dict(
            zip(where, self.images.encode_missing(pictures, report=report, pin=pin), strict=True)
        )
        sequences, slices = stack.tissue.shape
        return tuple(tuple(keys.get((m, s), "") for s in range(slices)) for m in range(sequences))

    def _aligned(self, batch: Batch) -> torch.Tensor:
        """(B, M, K, 256) sparse prompts."""
        aligner = self.trainable.aligner
        if self._mode == "text":
            from_texts: torch.Tensor = aligner(batch["texts"])
            return from_texts
        states = self._instructor.last_layer(
            batch["features"], batch["present"], self.trainable.projector
        )
        embedding = self._mode == "embedding"
        aligned: torch.Tensor = aligner(states) if embedding else aligner(batch["texts"], states)
        return aligned
