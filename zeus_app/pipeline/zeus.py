"""Zeus (section 3 of the paper): each sequence is segmented alone, and the masks are united.

The frozen towers are handed in. The trainable parts are the projection f_vt, the aligner f_tt and
the mask decoder F_pred.
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
from zeus_app.pipeline.instructor import AlignerInputs, Instructor
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
"""keys[m][s] is the cache key of an embedding; "" where there is no tissue."""


@dataclass(frozen=True, eq=False)
class PreparedStudy:
    """A study after the frozen towers: cache keys of its embeddings, and its instructions.

    Attributes:
        present: (S, M) bool, whether a sequence shows tissue on a slice.
        instructions: every instruction that was encoded.
        keys: cache keys of the image embeddings.
        prompts: inputs of the aligner.
        images: reads embeddings from the cache.
        pixels: (M, S, 256, 256), to encode an evicted embedding again; None in training.
    """

    present: BoolArray
    instructions: tuple[Instruction, ...]
    keys: Keys
    prompts: AlignerInputs
    images: CachedImageEncoder
    pixels: FloatArray | None

    def batch(self, slices: Sequence[int]) -> Batch:
        """Tensors of B slices: present (B, M), embeddings (B, M, 256, 64, 64), aligner inputs."""
        return {
            "present": torch.from_numpy(self.present[list(slices)]),
            "embeddings": torch.from_numpy(np.stack([self._embeddings(s) for s in slices])),
            **{
                name: torch.from_numpy(rows[list(slices) if len(rows) > 1 else [0] * len(slices)])
                for name, rows in self.prompts.items()
            },
        }

    def _embeddings(self, s: int) -> FloatArray:
        """(M, 256, 64, 64) float16; zeros where a sequence shows no tissue."""
        embeddings = np.zeros((len(self.keys), *EMBEDDING_SHAPE), np.float16)
        for m in np.flatnonzero(self.present[s]):
            picture = None if self.pixels is None else self.pixels[m, s]
            embeddings[m] = self.images.get(self.keys[m][s], picture)
        return embeddings


class Zeus:
    """The model behind `--conf model zeus`.

    Args:
        branches: names of the target's sequences.
        net: the trainable parts.
        images: F_enc behind the cache.
        instructor: F_v, F_LLM and F_t.
        mode: "text", "embedding" or "both".
        device: device of the trainable parts.
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
        return PreparedStudy(
            present=stack.tissue.T.copy(),
            instructions=instructions,
            keys=keys,
            prompts=prompts,
            images=self.images,
            pixels=stack.pixels if keep_pixels else None,
        )

    def pin_embeddings(self) -> AbstractContextManager[None]:
        """Within this context, the cache evicts no embedding of studies prepared without pixels."""
        return self.images.pin_embeddings()

    def calibrate(self, studies: Sequence[Prepared]) -> None:
        """Measure what the instructions of these studies share, for the text aligner."""
        if self._mode == "embedding":
            return
        aligner = self.trainable.aligner
        aligner = cast(TextAligner, aligner.text if isinstance(aligner, BothAligner) else aligner)
        prepared = cast(Sequence[PreparedStudy], studies)
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
            InputError: the profile has no projection from pictures to an LLM.
        """
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
        generated with them.
        """
        trained = {k: v for k, v in state.items() if k.startswith(("projector.", "lora."))}
        self.trainable.load_state_dict({**self.trainable.state_dict(), **trained})

    def logits(self, batch: Batch) -> torch.Tensor:
        """(B, M, K, 256, 256) logits. Only slices with tissue are decoded."""
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

    def _decode(
        self, embeddings: torch.Tensor, prompts: torch.Tensor, branches: torch.Tensor
    ) -> torch.Tensor:
        """N embeddings and (N, K, 256) prompts -> (N, K, 256, 256), by their branches' decoders."""
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
