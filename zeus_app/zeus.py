"""Zeus: each sequence looked at on its own, told in words what to show, and united.

Section 3 of the paper. The towers are frozen and handed in; what learns is the projection f_vt, the
aligner f_tt and the mask decoder F_pred.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from zeus_app.encoders.kept import (
    KeptImageEncoder,
    KeptTextEncoder,
    KeptVisionEncoder,
    PooledVision,
)
from zeus_app.errors import InputError
from zeus_app.instructions.generate import (
    InstructionWriter,
    Request,
    nearest,
    slices_to_describe,
)
from zeus_app.models.aligner import BothAligner, TextAligner
from zeus_app.models.net import ZeusNet
from zeus_app.progress import Report
from zeus_app.protocols import ABSENT, Batch, LanguageModel, Prepared
from zeus_app.targets import Target
from zeus_app.types import BoolArray, FloatArray, Guidance, Instruction, SliceStack

TEMPLATE = "template"
"""The writer of what is no model's and no user's text."""

Written = tuple[str, str]
"""(text, who wrote it)."""

Keys = tuple[tuple[str, ...], ...]
"""keys[m][s] names an embedding in the store; "" where there is no tissue."""


@dataclass(frozen=True, eq=False)
class PreparedStudy:
    """Keys of kept embeddings, and what the instructions became.

    Attributes:
        present: (S, M) bool.
        instructions: every instruction used, for the reader.
        keys: of the image embeddings.
        prompts: "texts", (S or 1, M, K, D) vectors, unless in embedding mode; "features",
            (S or 1, M, T, C) of the pictures, unless in text mode. One row serves all slices when
            instructions are per series.
        images: gives the embeddings back.
        pixels: (M, S, H, W) to encode again what the store lost; None while training.
    """

    present: BoolArray
    instructions: tuple[Instruction, ...]
    keys: Keys
    prompts: Mapping[str, FloatArray]
    images: KeptImageEncoder
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
        found = np.zeros((len(self.keys), 256, 64, 64), np.float16)
        for m in np.flatnonzero(self.present[s]):
            picture = None if self.pixels is None else self.pixels[m, s]
            found[m] = self.images.get(self.keys[m][s], picture)
        return found


class Zeus:
    """The model behind `--conf model zeus`.

    Args:
        target: what to segment, in which sequences.
        net: the trainable parts.
        images: F_enc behind its store.
        texts: the instruction encoder F_t behind its store.
        vision: F_v behind its store; None where the writer needs no features.
        writer: F_LLM behind its store.
        prompt: (instance, spoken sequence) -> the question put to the LLM.
        scope: which slices get an instruction: "none", "series", "key" or "all".
        mode: "text", "embedding" or "both".
        device: of the trainable parts.
    """

    def __init__(
        self,
        *,
        target: Target,
        net: ZeusNet,
        images: KeptImageEncoder,
        texts: KeptTextEncoder,
        vision: PooledVision | KeptVisionEncoder | None,
        writer: InstructionWriter,
        prompt: Callable[[str, str], str],
        scope: str,
        mode: str,
        device: torch.device,
    ) -> None:
        self.branches = target.sequence_names
        self.trainable = net.to(device)
        self.tower_ids = {
            "image encoder": images.encoder.id,
            "vision feature": vision.id if vision else "none",
            "LLM": writer.id,
            "text encoder": texts.encoder.id,
            "instruction": mode,
        }
        self._target, self._writer = target, writer
        self._images, self._texts, self._vision = images, texts, vision
        self._prompt, self._scope, self._mode = prompt, scope, mode

    def bytes_to_keep(self, pictures: int) -> int:
        """Half-precision embeddings of 256×64×64."""
        return pictures * 256 * 64 * 64 * 2

    @property
    def reads_text(self) -> bool:
        """Whether words reach the decoder."""
        return self._mode != "embedding"

    def prepare(
        self, stack: SliceStack, *, guidance: Guidance, report: Report, keep_pixels: bool
    ) -> PreparedStudy:
        """Encode every slice with tissue and write every instruction, unless they are kept."""
        scope = guidance.scope or self._scope
        keys = self._encode(stack, report)
        requests = self._requests(stack.tissue, scope)
        if not requests:
            raise InputError(
                "a study in which no slice shows tissue",
                expected="at least one axial slice with something above the background",
                remedy="check that the volumes are not empty",
            )
        features = self._features(stack, requests)
        by_slice = scope in ("key", "all")
        if self._mode == "embedding":
            texts = self._asked(requests, guidance)
        else:
            texts = self._texts_for(stack, requests, features, guidance, scope, report=report)
        instructions = [
            self._instruction(request, text, writer, by_slice=by_slice)
            for request, (text, writer) in zip(requests, texts, strict=True)
        ]
        prompts = {}
        if self._mode != "embedding":
            spoken = map(self._spoken, requests, instructions)
            vectors = self._texts.encode(list(spoken))
            prompts["texts"] = self._placed(requests, vectors, stack.tissue, by_slice=by_slice)
        if self._mode != "text":
            placed = self._placed(requests, features, stack.tissue, by_slice=by_slice)
            prompts["features"] = placed[:, :, 0]  # the same for every label
        return PreparedStudy(
            present=stack.tissue.T.copy(),
            instructions=tuple(instructions),
            keys=keys,
            prompts=prompts,
            images=self._images,
            pixels=stack.pixels if keep_pixels else None,
        )

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

    def logits(self, batch: Batch) -> torch.Tensor:
        """(B, M, K, 256, 256); only what shows tissue is decoded."""
        present = batch["present"]
        prompts = self._aligned(batch)  # (B, M, K, 256)
        where = present.nonzero()  # (N, 2)
        decoded = self._decode(batch["embeddings"][present], prompts[present], where[:, 1])
        logits = decoded.new_full((*present.shape, *decoded.shape[1:]), ABSENT)
        return logits.index_put((where[:, 0], where[:, 1]), decoded)

    def _encode(self, stack: SliceStack, report: Report) -> Keys:
        places = [(int(m), int(s)) for m, s in np.argwhere(stack.tissue)]
        kept = self._images.keep([stack.pixels[place] for place in places], report=report)
        keys = dict(zip(places, kept, strict=True))
        sequences, slices = stack.tissue.shape
        return tuple(tuple(keys.get((m, s), "") for s in range(slices)) for m in range(sequences))

    def _requests(self, tissue: BoolArray, scope: str) -> list[Request]:
        return [
            Request(m, k, s, self._prompt(label.spoken, self._target.sequences[m].spoken))
            for m, slices in enumerate(slices_to_describe(tissue, scope=scope))
            for s in slices
            for k, label in enumerate(self._target.labels)
        ]

    def _features(self, stack: SliceStack, requests: Sequence[Request]) -> FloatArray:
        """(N, T, C), of the slice each request is about; nothing for a writer that needs none."""
        if self._vision is None:
            return np.zeros((len(requests), 0, 0), np.float32)
        places = list({(request.branch, request.slice_index) for request in requests})
        found = self._vision.encode([stack.pixels[place] for place in places])
        rows = {place: row for row, place in enumerate(places)}
        return found[[rows[request.branch, request.slice_index] for request in requests]]

    @torch.inference_mode()
    def _texts_for(
        self,
        stack: SliceStack,
        requests: Sequence[Request],
        features: FloatArray,
        guidance: Guidance,
        scope: str,
        *,
        report: Report,
    ) -> list[Written]:
        """The user's own texts where there are some; the machine's elsewhere, unless unwanted."""
        own = [guidance.texts.get(self._names(request)) for request in requests]
        texts = [(text, "user") if text else ("", TEMPLATE) for text in own]
        open_ones = [i for i, text in enumerate(own) if not text]
        if scope == "none" or not open_ones:
            return texts
        asked = [requests[i] for i in open_ones]
        shown = self._shown(stack, asked, features[open_ones])
        for i, text in zip(open_ones, self._writer.write(asked, shown, report=report), strict=True):
            texts[i] = (text, self._writer.id)
        return texts

    def _shown(
        self, stack: SliceStack, requests: Sequence[Request], features: FloatArray
    ) -> torch.Tensor | FloatArray:
        """What the writer looks at: slices, image tokens, or nothing at all."""
        if self._writer.sees_pictures:
            pictures: FloatArray = np.stack(
                [stack.pixels[one.branch, one.slice_index] for one in requests]
            )
            return pictures
        if self._vision is None:
            return features
        tokens: torch.Tensor = self.trainable.projector(self._on_device(features))
        return tokens

    def _on_device(self, features: FloatArray) -> torch.Tensor:
        return torch.from_numpy(features).to(next(self.trainable.decoders.parameters()).device)

    def _asked(self, requests: Sequence[Request], guidance: Guidance) -> list[Written]:
        """What the LLM was asked: in embedding mode it answers with numbers, not words."""
        if guidance.texts:
            raise InputError(
                "instructions in embedding mode",
                expected="none: the LLM's last layer is used, no text is read",
                remedy="leave them out, or set instruction to text",
            )
        return [(request.prompt, TEMPLATE) for request in requests]

    def _names(self, request: Request) -> tuple[str, str]:
        return self.branches[request.branch], self._target.label_names[request.label]

    def _instruction(
        self, request: Request, text: str, writer: str, *, by_slice: bool
    ) -> Instruction:
        sequence, label = self._names(request)
        index = request.slice_index if by_slice else None
        return Instruction(sequence, label, index, text or self._heading(request), writer)

    def _heading(self, request: Request) -> str:
        label = self._target.labels[request.label].spoken
        return f"{label} in {self._target.sequences[request.branch].spoken}"

    def _spoken(self, request: Request, instruction: Instruction) -> str:
        """What is encoded: the instruction under its heading, for small LLMs lose the subject."""
        heading = self._heading(request)
        return heading if instruction.text == heading else f"{heading}: {instruction.text}"

    def _placed(
        self,
        requests: Sequence[Request],
        values: FloatArray,
        tissue: BoolArray,
        *,
        by_slice: bool,
    ) -> FloatArray:
        """(S or 1, M, K, ...): each slice with tissue has the values of the nearest described."""
        sequences, slices = tissue.shape
        rows = slices if by_slice else 1
        shape = (rows, sequences, len(self._target.labels), *values.shape[1:])
        placed = np.zeros(shape, np.float32)
        for m in range(sequences):
            mine = [i for i, request in enumerate(requests) if request.branch == m]
            if not mine:
                continue
            described = sorted({requests[i].slice_index for i in mine})
            closest = np.array(nearest(described, slices)) if by_slice else np.zeros(1, int)
            for i in mine:
                at = closest == described.index(requests[i].slice_index)
                placed[at & (tissue[m] if by_slice else True), m, requests[i].label] = values[i]
        return placed

    def _aligned(self, batch: Batch) -> torch.Tensor:
        """(B, M, K, 256) sparse prompts."""
        aligner = self.trainable.aligner
        if self._mode == "text":
            aligned: torch.Tensor = aligner(batch["texts"])
            return aligned
        states = self._last_layer(batch["features"], batch["present"])
        aligned = aligner(states) if self._mode == "embedding" else aligner(batch["texts"], states)
        return aligned

    def _last_layer(self, features: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """The LLM's last layer (B, M, K, hidden), computed once for equal pictures."""
        llm = cast(LanguageModel, self._writer.model)
        where = present.nonzero()
        shown = features[present]  # (N, T, C)
        rows = torch.cat([where[:, 1:].to(shown.dtype), shown.flatten(1)], dim=1)
        unique, back = torch.unique(rows, dim=0, return_inverse=True)
        tokens = self.trainable.projector(unique[:, 1:].unflatten(1, shown.shape[1:]))
        spoken = [self._target.sequences[int(m)].spoken for m in unique[:, 0].tolist()]
        states = [
            llm.last_hidden(tokens, [self._prompt(label.spoken, name) for name in spoken])
            for label in self._target.labels
        ]
        found = torch.stack(states, dim=1).to(features)[back]  # (N, K, hidden)
        hidden = features.new_zeros((*present.shape, *found.shape[1:]))
        return hidden.index_put((where[:, 0], where[:, 1]), found)

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
