"""The model behind `--conf model <network>`: any network of the registry, in any fusion."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import nn

from zeus_app.baselines.fusion import FusedNetwork, LateFusion, fuse
from zeus_app.baselines.registry import NETWORKS, NetworkEntry
from zeus_app.errors import InputError
from zeus_app.models.fusion import UNIONS, PlainUnion
from zeus_app.progress import Report
from zeus_app.protocols import Batch, Decoded, ModuleInfo, Prepared
from zeus_app.settings.config import ZeusConfig
from zeus_app.targets import Target
from zeus_app.types import BoolArray, FloatArray, Guidance, Instruction, SliceStack


@dataclass(frozen=True, eq=False)
class PreparedPixels:
    """A study prepared for a network that reads pixels, without towers and instructions.

    Attributes:
        present: (S, M) bool, whether a sequence shows tissue on a slice, in every fusion.
        pixels: (S, M, 256, 256) float16.
    """

    present: BoolArray
    pixels: FloatArray
    instructions: tuple[Instruction, ...] = ()

    def batch(self, slices: Sequence[int]) -> Batch:
        """Tensors of B slices: "present" (B, M) bool and "pixels" (B, M, 256, 256) float16."""
        rows = list(slices)
        return {
            "present": torch.from_numpy(self.present[rows]),
            "pixels": torch.from_numpy(self.pixels[rows]),
        }


class NetworkModel:
    """A network of the registry behind `protocols.Baseline`.

    Args:
        entry: the network.
        target: what to segment.
        fusion: "early", "hybrid" or "late".
        device: where the network runs; "meta" to count its parameters.
        union: "max", "mean" or "vote", for late fusion.
    """

    reads_text = False

    def __init__(
        self,
        entry: NetworkEntry,
        *,
        target: Target,
        fusion: str,
        device: torch.device,
        union: str = "max",
    ) -> None:
        # Elsewhere the weights are drawn on the CPU, so that a seed gives the same on every device.
        with device if device.type == "meta" else nullcontext():
            network = fuse(
                entry.build,
                sequences=target.sequence_names,
                labels=len(target.labels),
                fusion=fusion,
            )
        self.trainable: nn.Module = network.to(device)
        self.branches = network.branches
        self.tower_ids: Mapping[str, str] = {"network": f"{entry.title}, {fusion} fusion"}
        self._title, self._union = entry.title, PlainUnion(union)

    def cache_bytes(self, pictures: int) -> int:
        """0: the pictures are its input, so nothing is cached."""
        return 0

    def pin_embeddings(self) -> AbstractContextManager[None]:
        """Pin nothing, because nothing is cached."""
        return nullcontext()

    def prepare(
        self, stack: SliceStack, *, guidance: Guidance, report: Report, keep_pixels: bool
    ) -> PreparedPixels:
        """Arrange the pictures for the network.

        Raises:
            InputError: `guidance` has texts, which the network cannot read.
        """
        if guidance.texts:
            raise InputError(
                f"instructions for {self._title}",
                expected="no instructions, because this model reads no text",
                remedy="send the request without instructions, or start the server with"
                " --model zeus",
            )
        pixels = np.ascontiguousarray(stack.pixels.swapaxes(0, 1), dtype=np.float16)
        return PreparedPixels(present=stack.tissue.T.copy(), pixels=pixels)

    def calibrate(self, studies: Sequence[Prepared]) -> None:
        """Measure nothing, because the pictures are already windowed."""

    def decode(self, batch: Batch, *, branches: bool = True) -> Decoded:
        """Logits of the branches and of their union."""
        present = batch["present"]
        logits = self._network(batch["pixels"].float(), present)
        is_shown = present if self._is_late else present.any(dim=1, keepdim=True)
        self._union.train(self.trainable.training)
        return Decoded(logits, self._union(logits, is_shown))

    def describe(self) -> list[ModuleInfo]:
        """One row per part of the network; what is frozen in a part has a row of its own."""
        frozen = {id(p): p for p in self.trainable.parameters() if not p.requires_grad}
        parts = self._network.parts().items()
        rows = [_without(frozen, ModuleInfo.of(self._title, name, part), part)
                for name, part in parts]  # fmt: skip
        if not frozen:
            return rows
        count, size = _size(frozen.values())
        return [*rows, ModuleInfo(self._title, "frozen layer", "LlmLayer", False, count, size)]

    @property
    def _network(self) -> FusedNetwork:
        return cast(FusedNetwork, self.trainable)

    @property
    def _is_late(self) -> bool:
        return isinstance(self.trainable, LateFusion)


def build(name: str, config: ZeusConfig, target: Target, device: torch.device) -> NetworkModel:
    """The model of a config.

    Args:
        name: key of `NETWORKS`.
        config: gives the fusion and the union.
        target: gives the sequences and labels.
        device: where the network runs; "meta" to count its parameters.

    Raises:
        InputError: a union that only Zeus has.
    """
    if config.chosen_union not in UNIONS:
        raise InputError(
            f"model {name} with union {config.chosen_union}",
            expected=f"one of {', '.join(UNIONS)}",
            remedy="send --set union=max",
        )
    return NetworkModel(
        configured(NETWORKS[name], config),
        target=target,
        fusion=config.fusion,
        device=device,
        union=config.chosen_union,
    )


def configured(entry: NetworkEntry, config: ZeusConfig) -> NetworkEntry:
    """The entry with its own settings applied."""
    if entry.choose is None:
        return entry
    title, chosen = entry.choose(config)
    return replace(entry, title=title, build=chosen)


def _without(frozen: Mapping[int, torch.Tensor], row: ModuleInfo, part: nn.Module) -> ModuleInfo:
    """The row of a part without its frozen parameters, which parts may share."""
    count, size = _size(p for p in part.parameters() if id(p) in frozen)
    return replace(row, parameters=row.parameters - count, memory_bytes=row.memory_bytes - size)


def _size(parameters: Iterable[torch.Tensor]) -> tuple[int, int]:
    """Number of values, and their bytes."""
    every = list(parameters)
    return sum(p.numel() for p in every), sum(p.nbytes for p in every)
