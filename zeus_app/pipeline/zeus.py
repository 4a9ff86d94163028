"""Zeus: each sequence looked at on its own, told in words what to show, and united.

Section 3 of the paper. The towers are frozen and handed in; what learns is the projection f_vt, the
aligner f_tt and the mask decoder F_pred.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from zeus_app.encoders.cached import CachedImageEncoder
from zeus_app.models.aligner import BothAligner, EmbeddingAligner, TextAligner
from zeus_app.models.net import ZeusNet
from zeus_app.pipeline.instructor import Instructor, Prompts
from zeus_app.progress import Report
from zeus_app.protocols import ABSENT, Batch, Prepared
from zeus_app.types import (
    EMBEDDING_SHAPE,
    BoolArray,
    FloatArray,
    Guidance,
    Instruction,
    SliceStack,
)

Keys = tuple[tuple[str, ...], ...]
"""keys[m][s] names an embedding in the store; "" where there is no tissue."""


@dataclass(frozen=True, eq=False)
class PreparedStudy:
    """Keys of kept embeddings, and what the instructions became.

    Attributes:
        present: (S, M) bool.
        instructions: every instruction used, for the reader.
        keys: of the image embeddings.
        prompts: what the aligner reads.
        images: gives the embeddings back.
        pixels: (M, S, H, W) to encode again what the store lost; None while training.
    """

    present: BoolArray
    instructions: tuple[Instruction, ...]
    keys: Keys
    prompts: Prompts
    images: CachedImageEncoder
    pixels: FloatArray | None

    def batch(self, slices: Sequence[int]) -> Batch:
        """Present (B, M), embeddings (B, M, 256, 64, 64) float16, and each prompt (B, M, ...)."""
        return {
            "present": torch.from_numpy(self.present[list(slices)]),
            "embeddings": torch.from_numpy(np.stack([self._embeddings(s) for s in slices])),
            **{
                name: torch.from_numpy(rows[list(slices) if len(rows) > 1 else [0] * len(slices)])
                for name, rows in self.prompts.items()
            },
        }

    def _embeddings(self, s: int) -> FloatArray:
        """(M, 256, 64, 64), zeros where a sequence shows nothing."""
        found = np.zeros((len(self.keys), *EMBEDDING_SHAPE), np.float16)
        for m in np.flatnonzero(self.present[s]):
            picture = None if self.pixels is None else self.pixels[m, s]
            found[m] = self.images.get(self.keys[m][s], picture)
        return found


class Zeus:
    """The model behind `--conf model zeus`.

    Args:
        branches: the target's sequences.
        net: the trainable parts.
        images: F_enc behind its store.
        instructor: F_v, F_LLM and F_t.
        mode: "text", "embedding" or "both".
        device: of the trainable parts.
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
    ) -> None:
        self.branches = branches
        self.trainable = net.to(device)
        self.tower_ids = {
            "image encoder": images.encoder.id,
            **instructor.tower_ids,
            "instruction": mode,
        }
        self.images, self._instructor = images, instructor
        self._mode, self._device = mode, device

    def cache_bytes(self, pictures: int) -> int:
        """Bytes of float16 embeddings of 256×64×64."""
        return pictures * math.prod(EMBEDDING_SHAPE) * np.float16().itemsize

    @property
    def reads_text(self) -> bool:
        """Whether words reach the decoder."""
        return self._mode != "embedding"

    def prepare(
        self, stack: SliceStack, *, guidance: Guidance, report: Report, keep_pixels: bool
    ) -> PreparedStudy:
        """Encode every slice with tissue and write every instruction, unless they are kept."""
        keys = self._encode(stack, report, hold=not keep_pixels)
        instructions, prompts = self._instructor.instruct(
            stack, guidance=guidance, mode=self._mode, project=self._project, report=report
        )
        return PreparedStudy(
            present=stack.tissue.T.copy(),
            instructions=instructions,
            keys=keys,
            prompts=prompts,
            images=self.images,
            pixels=stack.pixels if keep_pixels else None,
        )

    def hold_embeddings(self) -> AbstractContextManager[None]:
        """Within this context, the cache evicts no embedding of studies prepared without pixels."""
        return self.images.holding()

    def calibrate(self, studies: Sequence[Prepared]) -> None:
        """Measure what the instructions of these studies share."""
        if self._mode == "embedding":
            return
        aligner = self.trainable.aligner
        aligner = cast(TextAligner, aligner.text if isinstance(aligner, BothAligner) else aligner)
        ours = cast(Sequence[PreparedStudy], studies)
        texts = np.concatenate([study.prompts["texts"] for study in ours])  # (N, M, K, D)
        written = texts.any(axis=-1)  # a slice without tissue has no instruction
        groups = np.arange(written[0].size).reshape(written.shape[1:])
        device = aligner.center.device
        aligner.calibrate(
            torch.from_numpy(texts[written]).to(device),
            torch.from_numpy(np.broadcast_to(groups, written.shape)[written]).to(device),
        )

    @contextmanager
    def through_last_layer(self) -> Iterator[None]:
        """Embedding mode for a while, with an aligner of its own: there gradients reach f_vt.

        Raises:
            InputError: no projection stands between pictures and this writer.
        """
        aligner, mode = self.trainable.aligner, self._mode
        through = EmbeddingAligner(self._instructor.llm.hidden).to(self._device)
        self.trainable.aligner, self._mode = through, "embedding"
        try:
            yield
        finally:
            self.trainable.aligner, self._mode = aligner, mode

    def take_projection(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take f_vt and LoRA, and nothing else, out of weights that learnt so.

        No gradient reaches either in text mode: texts are written with them as they are here.
        """
        learnt = {k: v for k, v in state.items() if k.startswith(("projector.", "lora."))}
        self.trainable.load_state_dict({**self.trainable.state_dict(), **learnt})

    def logits(self, batch: Batch) -> torch.Tensor:
        """(B, M, K, 256, 256); only what shows tissue is decoded."""
        present = batch["present"]
        prompts = self._aligned(batch)  # (B, M, K, 256)
        where = present.nonzero()  # (N, 2)
        decoded = self._decode(batch["embeddings"][present], prompts[present], where[:, 1])
        logits = decoded.new_full((*present.shape, *decoded.shape[1:]), ABSENT)
        return logits.index_put((where[:, 0], where[:, 1]), decoded)

    def _project(self, features: FloatArray) -> torch.Tensor:
        """(N, T, C) features -> (N, P, hidden) image tokens."""
        tokens: torch.Tensor = self.trainable.projector(torch.from_numpy(features).to(self._device))
        return tokens

    def _encode(self, stack: SliceStack, report: Report, *, hold: bool) -> Keys:
        places = [(int(m), int(s)) for m, s in np.argwhere(stack.tissue)]
        pictures = [stack.pixels[place] for place in places]
        kept = self.images.keep(pictures, report=report, hold=hold)
        keys = dict(zip(places, kept, strict=True))
        sequences, slices = stack.tissue.shape
        return tuple(tuple(keys.get((m, s), "") for s in range(slices)) for m in range(sequences))

    def _aligned(self, batch: Batch) -> torch.Tensor:
        """(B, M, K, 256) sparse prompts."""
        aligner = self.trainable.aligner
        if self._mode == "text":
            aligned: torch.Tensor = aligner(batch["texts"])
            return aligned
        states = self._instructor.last_layer(
            batch["features"], batch["present"], self.trainable.projector
        )
        aligned = aligner(states) if self._mode == "embedding" else aligner(batch["texts"], states)
        return aligned

    def _decode(
        self, embeddings: torch.Tensor, prompts: torch.Tensor, branches: torch.Tensor
    ) -> torch.Tensor:
        """N embeddings and (N, K, 256) prompts -> (N, K, 256, 256), each by its own decoder."""
        net = self.trainable
        of_branch = torch.tensor(
            [net.decoder_index(name) for name in self.branches], device=branches.device
        )
        index = of_branch[branches]
        embeddings = embeddings.to(prompts.dtype)
        if len(net.decoders) == 1:
            only: torch.Tensor = net.decoder(0)(embeddings, prompts)
            return only
        groups = [(d, (index == d).nonzero()[:, 0]) for d in range(len(net.decoders))]
        parts = [net.decoder(d)(embeddings[rows], prompts[rows]) for d, rows in groups if len(rows)]
        order = torch.cat([rows for _, rows in groups])
        return torch.cat(parts)[order.argsort()]
