"""ZeusNet: the trainable parts of Zeus, which the optimiser trains and a checkpoint holds."""

from collections.abc import Mapping
from typing import cast

from torch import nn

from zeus_app.models.mask_decoder import InstructedMaskDecoder

SHARED = "shared"


class ZeusNet(nn.Module):
    """f_vt, f_tt and F_pred of the paper's Table 1.

    Args:
        projector: f_vt, image feature -> token of the LLM.
        aligner: f_tt, instruction embedding -> sparse prompt.
        decoders: F_pred; one named "shared" (hybrid fusion), or one per sequence (late fusion).
        lora: the trained part of the LLM, if the profile has one.
    """

    def __init__(
        self,
        projector: nn.Module,
        aligner: nn.Module,
        decoders: Mapping[str, InstructedMaskDecoder],
        lora: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.projector = projector
        self.aligner = aligner
        # A list, because a sequence name may contain a dot and a module name may not.
        self.decoders = nn.ModuleList(decoders.values())
        self.lora = lora
        self._index = {name: index for index, name in enumerate(decoders)}

    def decoder_index(self, sequence: str) -> int:
        """The index of the decoder for a sequence."""
        return self._index[SHARED] if SHARED in self._index else self._index[sequence]

    def decoder(self, index: int) -> InstructedMaskDecoder:
        """A decoder by its index."""
        return cast(InstructedMaskDecoder, self.decoders[index])
