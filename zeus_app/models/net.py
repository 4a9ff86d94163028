"""ZeusNet: the trainable parts of Zeus, which the optimiser trains and a checkpoint holds."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import nn

from zeus_app.models.fusion import NOTHING
from zeus_app.models.mask_decoder import InstructedMaskDecoder
from zeus_app.models.readout import Compression, ReadOut, mean_of_present
from zeus_app.protocols import ABSENT, Batch, Decoded

SHARED = "shared"


class ZeusNet(nn.Module, ABC):
    """f_vt, f_tt and F_pred of the paper's Table 1.

    Args:
        projector: f_vt, image feature -> token of the LLM.
        aligner: f_tt, instruction embedding -> sparse prompt.
        decoders: F_pred.
        union: logits of the sequences -> logits of their union; None if the decoder makes both.
        lora: the trained part of the LLM, if the profile has one.
    """

    def __init__(
        self,
        projector: nn.Module,
        aligner: nn.Module,
        decoders: Sequence[nn.Module],
        union: nn.Module | None,
        lora: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.projector = projector
        self.aligner = aligner
        # A list, because a sequence name may contain a dot and a module name may not.
        self.decoders = nn.ModuleList(decoders)
        self.lora = lora
        self.union = union

    @abstractmethod
    def decode(self, batch: Batch, prompts: torch.Tensor, *, branches: bool) -> Decoded:
        """Decode a batch with its aligned instructions.

        Args:
            batch: "present" (B, M) bool, and what the decoder reads.
            prompts: (B, M, K, 256).
            branches: False if the caller needs the union alone.
        """


class SamNet(ZeusNet):
    """Zeus with SAM's mask decoder: the paper's.

    Args:
        decoders: one named "shared" (hybrid fusion), or one per sequence (late fusion).
        sequences: names of the M sequences.
    """

    def __init__(
        self,
        projector: nn.Module,
        aligner: nn.Module,
        decoders: Mapping[str, InstructedMaskDecoder],
        union: nn.Module,
        lora: nn.Module | None = None,
        *,
        sequences: Sequence[str],
    ) -> None:
        super().__init__(projector, aligner, list(decoders.values()), union, lora)
        index = {name: row for row, name in enumerate(decoders)}
        self._of_sequence = [index[SHARED if SHARED in index else name] for name in sequences]

    def decode(self, batch: Batch, prompts: torch.Tensor, *, branches: bool) -> Decoded:
        """Decode "embeddings", (B, M, 256, 64, 64). Only slices with tissue are decoded."""
        present = batch["present"]
        where = present.nonzero()  # (N, 2)
        decoded = self._decode(batch["embeddings"][present], prompts[present], where[:, 1])
        logits = decoded.new_full((*present.shape, *decoded.shape[1:]), ABSENT)
        logits = logits.index_put((where[:, 0], where[:, 1]), decoded)
        return Decoded(logits, cast(nn.Module, self.union)(logits, present))

    def _decode(
        self, embeddings: torch.Tensor, prompts: torch.Tensor, sequences: torch.Tensor
    ) -> torch.Tensor:
        """N embeddings and (N, K, 256) prompts -> (N, K, 256, 256), by their own decoders."""
        embeddings = embeddings.to(prompts.dtype)
        if len(self.decoders) == 1:
            only: torch.Tensor = self.decoders[0](embeddings, prompts)
            return only
        index = torch.tensor(self._of_sequence, device=sequences.device)[sequences]
        groups = [(d, (index == d).nonzero()[:, 0]) for d in range(len(self.decoders))]
        parts = [
            self.decoders[d](embeddings[rows], prompts[rows]) for d, rows in groups if len(rows)
        ]
        order = torch.cat([rows for _, rows in groups])
        return torch.cat(parts)[order.argsort()]


class ReadOutNet(ZeusNet):
    """Zeus with the read-out.

    Args:
        decoders: one for all sequences (hybrid fusion), or one per sequence (late fusion).
        union: None in hybrid fusion makes the union from the features of all sequences together.
        labels: K.

    Attributes:
        second_look: (K,) bool, the labels that SAM's decoder draws again.
    """

    second_look: torch.Tensor

    def __init__(
        self,
        projector: nn.Module,
        aligner: nn.Module,
        decoders: Sequence[ReadOut],
        union: nn.Module | None,
        lora: nn.Module | None = None,
        *,
        labels: int,
    ) -> None:
        super().__init__(projector, aligner, decoders, union, lora)
        self.compression = Compression()
        self.register_buffer("second_look", torch.zeros(labels, dtype=torch.bool))

    def decode(self, batch: Batch, prompts: torch.Tensor, *, branches: bool) -> Decoded:
        """Decode "embeddings", (B, M, 3·C, 64, 64), with "pixels", (B, M, 3, 256, 256)."""
        present, pixels = batch["present"], batch["pixels"]
        chosen = self._sequences_to_read(present)
        first = {
            m: self._read_out(m).read(self._layer(m), batch["embeddings"][:, m], pixels[:, m])
            for m in chosen
        }
        logits = prompts.new_zeros(len(present), 0, prompts.shape[2], *pixels.shape[-2:])
        if branches or self.union is not None:
            decoded = {m: self._read_out(m).decode(*first[m], prompts[:, m]) for m in chosen}
            nothing = torch.full_like(decoded[chosen[0]], ABSENT)
            of_all = [decoded.get(m, nothing) for m in range(present.shape[1])]
            absent = ~present[:, :, None, None, None]
            logits = torch.stack(of_all, dim=1).masked_fill(absent, ABSENT)
        if self.union is not None:
            return Decoded(logits, self.union(logits, present))
        of_chosen = present[:, chosen]
        cells, fine = (mean_of_present(p, of_chosen) for p in zip(*first.values(), strict=True))
        shown = present[:, :, None, None].to(prompts.dtype)
        mean_prompt = (prompts * shown).sum(dim=1) / shown.sum(dim=1).clamp(min=1)
        union = self._read_out(0).decode(cells, fine, mean_prompt)
        nothing = ~present.any(dim=1)[:, None, None, None]
        return Decoded(logits, union.masked_fill(nothing, NOTHING))

    @staticmethod
    def _sequences_to_read(present: torch.Tensor) -> list[int]:
        """All sequences in training, so that each has a gradient; else those that are present."""
        every = list(range(present.shape[1]))
        if torch.is_grad_enabled():
            return every
        return [m for m in every if present[:, m].any()] or every[:1]

    def _read_out(self, sequence: int) -> ReadOut:
        return cast(ReadOut, self.decoders[0 if len(self.decoders) == 1 else sequence])

    def _layer(self, sequence: int) -> int:
        return sequence if len(self.decoders) == 1 else 0
