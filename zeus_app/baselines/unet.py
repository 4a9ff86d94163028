"""Baseline: MONAI's U-Net, with early fusion (sequences as channels) or late (one network each)."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from zeus_app.errors import InputError
from zeus_app.models.fusion import UNIONS, PlainUnion
from zeus_app.progress import Report
from zeus_app.protocols import ABSENT, Batch, Decoded, ModuleInfo, Prepared
from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import Target
from zeus_app.types import BoolArray, FloatArray, Guidance, Instruction, SliceStack

CHANNELS = (32, 64, 128, 256, 512)


@dataclass(frozen=True, eq=False)
class PreparedPixels:
    """A study prepared for a network that reads pixels, without towers and instructions.

    Attributes:
        present: (S, M) bool; M is 1 for early fusion.
        pixels: (S, C, 256, 256) float16.
    """

    present: BoolArray
    pixels: FloatArray
    instructions: tuple[Instruction, ...] = ()

    def batch(self, slices: Sequence[int]) -> Batch:
        """Tensors of B slices: "present" (B, M) bool and "pixels" (B, C, 256, 256) float16."""
        rows = list(slices)
        return {
            "present": torch.from_numpy(self.present[rows]),
            "pixels": torch.from_numpy(self.pixels[rows]),
        }


class UNetBaseline:
    """The model behind `--conf model unet`.

    Args:
        target: what to segment.
        fusion: "early" or "late".
        device: where the networks run.
        union: "max", "mean" or "vote", for late fusion.
    """

    tower_ids: Mapping[str, str] = {}
    reads_text = False

    def __init__(
        self, *, target: Target, fusion: str, device: torch.device, union: str = "max"
    ) -> None:
        sequences = target.sequence_names
        self.early = fusion == "early"
        self.branches = ("all sequences",) if self.early else sequences
        channels = len(sequences) if self.early else 1
        networks = [_network(channels, len(target.labels)) for _ in self.branches]
        self.trainable: nn.Module = nn.ModuleList(networks).to(device)
        self._union = PlainUnion(union)

    def cache_bytes(self, pictures: int) -> int:
        """0: the pictures are its input, so nothing is cached."""
        return 0

    def pin_embeddings(self) -> AbstractContextManager[None]:
        """Pin nothing, because nothing is cached."""
        return nullcontext()

    def prepare(
        self, stack: SliceStack, *, guidance: Guidance, report: Report, keep_pixels: bool
    ) -> PreparedPixels:
        """Arrange the pictures for the networks.

        Raises:
            InputError: `guidance` has texts, which a U-Net cannot read.
        """
        if guidance.texts:
            raise InputError(
                "instructions for a U-Net",
                expected="no instructions, because this model reads no text",
                remedy="send the request without instructions, or start the server with"
                " --model zeus",
            )
        tissue = stack.tissue.any(axis=0, keepdims=True) if self.early else stack.tissue
        pixels = np.ascontiguousarray(stack.pixels.swapaxes(0, 1), dtype=np.float16)
        return PreparedPixels(present=tissue.T.copy(), pixels=pixels)

    def calibrate(self, studies: Sequence[Prepared]) -> None:
        """Measure nothing, because the pictures are already windowed."""

    def decode(self, batch: Batch, *, branches: bool = True) -> Decoded:
        """Logits of the branches and of their union."""
        pixels = batch["pixels"].float()
        groups = [pixels] if self.early else list(torch.split(pixels, 1, dim=1))
        pairs = zip(self.trainable.children(), groups, strict=True)
        logits = torch.stack([network(group) for network, group in pairs], dim=1)
        present = batch["present"]
        logits = logits.masked_fill(~present[:, :, None, None, None], ABSENT)
        self._union.train(self.trainable.training)
        return Decoded(logits, self._union(logits, present))

    def describe(self) -> list[ModuleInfo]:
        """One row per network."""
        return [
            ModuleInfo.of("U-Net", name, net)
            for name, net in zip(self.branches, self.trainable.children(), strict=True)
        ]


def _network(channels: int, labels: int) -> nn.Module:
    from monai.networks.nets import UNet  # importing MONAI takes seconds, and Zeus needs none

    network: nn.Module = UNet(
        spatial_dims=2,
        in_channels=channels,
        out_channels=labels,
        channels=CHANNELS,
        strides=(2,) * (len(CHANNELS) - 1),
        num_res_units=2,
    )
    return network


def build(config: ZeusConfig, target: Target, device: torch.device) -> UNetBaseline:
    """The U-Net of a config.

    Raises:
        InputError: hybrid fusion or a learned union, which the U-Net does not have.
    """
    if config.fusion == "hybrid":
        raise InputError(
            "model unet with fusion hybrid",
            expected="early or late",
            remedy="send --fusion early (sequences as channels) or --fusion late (a network each)",
        )
    if config.chosen_union not in UNIONS:
        raise InputError(
            f"model unet with union {config.chosen_union}",
            expected=f"one of {', '.join(UNIONS)}",
            remedy="send --set union=max",
        )
    return UNetBaseline(
        target=target, fusion=config.fusion, device=device, union=config.chosen_union
    )
