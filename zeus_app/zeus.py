"""Zeus: each sequence looked at on its own, told in words what to show, and united.

Section 3 of the paper. The towers are frozen and handed in; what learns is the projection f_vt, the
aligner f_tt and the mask decoder F_pred.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from zeus_app.encoders.kept import KeptImageEncoder, KeptTextEncoder
from zeus_app.errors import InputError
from zeus_app.instructions.generate import InstructionWriter, Request, slices_to_describe
from zeus_app.models.aligner import TextAligner
from zeus_app.models.net import ZeusNet
from zeus_app.progress import Report
from zeus_app.protocols import ABSENT, Batch, Prepared, Texts
from zeus_app.targets import Target
from zeus_app.types import BoolArray, FloatArray, Instruction, SliceStack

Keys = tuple[tuple[str, ...], ...]
"""keys[m][s] names an embedding in the store; "" where there is no tissue."""


@dataclass(frozen=True, eq=False)
class PreparedStudy:
    """Keys of kept embeddings, and what the instructions became.

    Attributes:
        present: (S, M) bool.
        instructions: every instruction used, for the reader.
        keys: of the image embeddings.
        prompts: (S or 1, M, K, D) text vectors in text mode; (S or 1, M, C) image features in
            embedding mode. One row serves all slices when instructions are per series.
        images: gives the embeddings back.
        pixels: (M, S, H, W) to encode again what the store lost; None while training.
    """

    present: BoolArray
    instructions: tuple[Instruction, ...]
    keys: Keys
    prompts: FloatArray
    images: KeptImageEncoder
    pixels: FloatArray | None

    def batch(self, slices: Sequence[int]) -> Batch:
        """Present (B, M), embeddings (B, M, 256, 64, 64) float16, prompts (B, M, ...)."""
        rows = [s if len(self.prompts) > 1 else 0 for s in slices]
        return {
            "present": torch.from_numpy(self.present[list(slices)]),
            "embeddings": torch.from_numpy(np.stack([self._embeddings(s) for s in slices])),
            "prompts": torch.from_numpy(self.prompts[rows]),
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
        writer: F_LLM behind its store.
        prompt: (instance, spoken sequence) -> the question put to the LLM.
        scope: "series" or "slice".
        mode: "text" or "embedding".
        device: of the trainable parts.
    """

    def __init__(
        self,
        *,
        target: Target,
        net: ZeusNet,
        images: KeptImageEncoder,
        texts: KeptTextEncoder,
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
            "vision feature": f"pooled {images.encoder.id}",
            "LLM": writer.id,
            "text encoder": texts.encoder.id,
            "instruction": mode,
        }
        self._target, self._images, self._texts, self._writer = target, images, texts, writer
        self._prompt, self._scope, self._mode = prompt, scope, mode

    def bytes_to_keep(self, pictures: int) -> int:
        """Half-precision embeddings of 256×64×64."""
        return pictures * 256 * 64 * 64 * 2

    def prepare(
        self, stack: SliceStack, *, texts: Texts, report: Report, keep_pixels: bool
    ) -> PreparedStudy:
        """Encode every slice with tissue and write every instruction, unless they are kept."""
        keys = self._encode(stack, report)
        requests = self._requests(stack.tissue)
        if not requests:
            raise InputError(
                "a study in which no slice shows tissue",
                expected="at least one axial slice with something above the background",
                remedy="check that the volumes are not empty",
            )
        features = self._features(stack, keys, requests)
        if self._mode == "embedding":
            instructions = self._asked(requests, texts)
            values = features
        else:
            instructions = self._write(requests, features, texts, report)
            spoken = map(self._spoken, requests, instructions)
            values = self._texts.encode(list(spoken))
        return PreparedStudy(
            present=stack.tissue.T.copy(),
            instructions=tuple(instructions),
            keys=keys,
            prompts=self._prompts(requests, values, slices=stack.tissue.shape[1]),
            images=self._images,
            pixels=stack.pixels if keep_pixels else None,
        )

    def calibrate(self, studies: Sequence[Prepared]) -> None:
        """Measure what the instructions of these studies share."""
        aligner = self.trainable.aligner
        if isinstance(aligner, TextAligner):
            ours = cast(Sequence[PreparedStudy], studies)
            prompts = np.concatenate([study.prompts for study in ours])  # (N, M, K, D)
            written = prompts.any(axis=-1)  # a slice without tissue has no instruction
            groups = np.arange(written[0].size).reshape(written.shape[1:])
            device = aligner.center.device
            aligner.calibrate(
                torch.from_numpy(prompts[written]).to(device),
                torch.from_numpy(np.broadcast_to(groups, written.shape)[written]).to(device),
            )

    def logits(self, batch: Batch) -> torch.Tensor:
        """(B, M, K, 256, 256); only what shows tissue is decoded."""
        present = batch["present"]
        prompts = self._aligned(batch["prompts"], present)  # (B, M, K, 256)
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

    def _requests(self, tissue: BoolArray) -> list[Request]:
        return [
            Request(m, k, s, self._prompt(label.spoken, self._target.sequences[m].spoken))
            for m, slices in enumerate(slices_to_describe(tissue, scope=self._scope))
            for s in slices
            for k, label in enumerate(self._target.labels)
        ]

    def _features(
        self, stack: SliceStack, keys: Keys, requests: Sequence[Request]
    ) -> FloatArray:
        """(N, C): the pooled image embedding of the slice each request is about."""
        places = {(request.branch, request.slice_index) for request in requests}
        pooled = {
            (m, s): self._images.get(keys[m][s], stack.pixels[m, s]).mean(
                axis=(1, 2), dtype=np.float32
            )
            for m, s in places
        }
        return np.stack([pooled[request.branch, request.slice_index] for request in requests])

    @torch.inference_mode()
    def _write(
        self, requests: Sequence[Request], features: FloatArray, texts: Texts, report: Report
    ) -> list[Instruction]:
        """The user's own texts where there are some, the machine's elsewhere."""
        own = [texts.get(self._names(request)) for request in requests]
        open_ones = [i for i, text in enumerate(own) if text is None]
        device = next(self.trainable.decoders.parameters()).device
        shown = torch.from_numpy(features[open_ones]).to(device)[:, None]  # (N, 1, C)
        tokens = self.trainable.projector(shown)
        written = self._writer.write([requests[i] for i in open_ones], tokens, report=report)
        machine = dict(zip(open_ones, written, strict=True))
        return [
            self._instruction(request, machine[i])
            if i in machine
            else self._instruction(request, own[i] or "", model="user")
            for i, request in enumerate(requests)
        ]

    def _asked(self, requests: Sequence[Request], texts: Texts) -> list[Instruction]:
        """What the LLM was asked: in embedding mode it answers with numbers, not words."""
        if texts:
            raise InputError(
                "instructions in embedding mode",
                expected="none: the LLM's last layer is used, no text is read",
                remedy="leave them out, or set instruction to text",
            )
        return [
            self._instruction(request, request.prompt, model="template") for request in requests
        ]

    def _names(self, request: Request) -> tuple[str, str]:
        return self.branches[request.branch], self._target.label_names[request.label]

    def _instruction(self, request: Request, text: str, *, model: str = "") -> Instruction:
        sequence, label = self._names(request)
        index = request.slice_index if self._scope == "slice" else None
        return Instruction(sequence, label, index, text, model or self._writer.id)

    def _spoken(self, request: Request, instruction: Instruction) -> str:
        """What is encoded: the instruction under its heading, for small LLMs lose the subject."""
        label = self._target.labels[request.label].spoken
        return f"{label} in {self._target.sequences[request.branch].spoken}: {instruction.text}"

    def _prompts(
        self, requests: Sequence[Request], values: FloatArray, *, slices: int
    ) -> FloatArray:
        """(S or 1, M, K, D), zeros where there is no instruction."""
        rows = slices if self._scope == "slice" else 1
        shape = (rows, len(self.branches), len(self._target.labels), values.shape[1])
        prompts = np.zeros(shape, np.float32)
        for request, value in zip(requests, values, strict=True):
            row = request.slice_index if self._scope == "slice" else 0
            prompts[row, request.branch, request.label] = value
        return prompts

    def _aligned(self, prompts: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """(B, M, K, D) -> (B, M, K, 256)."""
        if self._mode == "embedding":
            prompts = self._last_layer(prompts, present)
        aligned: torch.Tensor = self.trainable.aligner(prompts)
        return aligned

    def _last_layer(self, features: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """The LLM's last layer (B, M, K, hidden), computed once for equal pictures."""
        where = present.nonzero()
        hidden = features.new_zeros((*features.shape[:3], self._writer.llm.hidden))
        for k, label in enumerate(self._target.labels):
            rows = torch.cat([where[:, 1:].to(features.dtype), features[present][:, k]], dim=1)
            unique, back = torch.unique(rows, dim=0, return_inverse=True)
            tokens = self.trainable.projector(unique[:, None, 1:])
            prompts = [
                self._prompt(label.spoken, self._target.sequences[int(m)].spoken)
                for m in unique[:, 0].tolist()
            ]
            last = self._writer.llm.last_hidden(tokens, prompts)[back]
            hidden = hidden.index_put(
                (where[:, 0], where[:, 1], torch.tensor(k, device=where.device)),
                last.to(hidden.dtype),
            )
        return hidden

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
