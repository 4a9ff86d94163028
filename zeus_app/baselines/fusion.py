"""The three fusions of the paper's benchmark (section 3.3), for any encoder and decoder.

Early: the sequences are channels of one network. Hybrid: each sequence has an encoder of its own,
and one decoder reads the features of all. Late: each sequence has a network of its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from zeus_app.baselines.network import BuildNetwork
from zeus_app.protocols import ABSENT
from zeus_app.settings.registry import lookup

ALL_SEQUENCES = "all sequences"
"""Name of the only branch in early and hybrid fusion."""


class FusedNetwork(nn.Module, ABC):
    """A network for slices of M sequences.

    Args:
        build: makes the networks.
        sequences: names of the M sequences.
        labels: K.

    Attributes:
        branches: names of the masks that `forward` returns.
    """

    branches: tuple[str, ...] = (ALL_SEQUENCES,)

    def __init__(self, build: BuildNetwork, *, sequences: Sequence[str], labels: int) -> None:
        super().__init__()
        self.sequences, self.labels = tuple(sequences), labels

    @abstractmethod
    def forward(self, pixels: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Decode slices.

        Args:
            pixels: (B, M, H, W) float32.
            present: (B, M) bool; the network does not read the pixels of absent sequences.

        Returns:
            (B, len(branches), K, H, W) logits; `ABSENT` in branches that show no sequence.
        """

    @abstractmethod
    def parts(self) -> Mapping[str, nn.Module]:
        """Name -> part, in the order of the data; together they hold all weights."""


class EarlyFusion(FusedNetwork):
    """One network, whose channels are the sequences; an absent sequence is a channel of zeros."""

    def __init__(self, build: BuildNetwork, *, sequences: Sequence[str], labels: int) -> None:
        super().__init__(build, sequences=sequences, labels=labels)
        self.network = build(len(self.sequences), labels)

    def forward(self, pixels: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """(B, M, H, W) and (B, M) -> (B, 1, K, H, W)."""
        logits = self.network(pixels * present[:, :, None, None])
        return _without_absent(logits[:, None], present.any(dim=1, keepdim=True))

    def parts(self) -> Mapping[str, nn.Module]:
        """The network."""
        return {ALL_SEQUENCES: self.network}


class HybridFusion(FusedNetwork):
    """An encoder for each sequence, and one decoder.

    At each level the features of all sequences are concatenated, those of an absent sequence as
    zeros, and a 1×1 convolution reduces them to the channels that the decoder reads.
    """

    def __init__(self, build: BuildNetwork, *, sequences: Sequence[str], labels: int) -> None:
        super().__init__(build, sequences=sequences, labels=labels)
        networks = [build(1, labels) for _ in self.sequences]
        self.encoders = nn.ModuleList(network.encoder for network in networks)
        self.reductions = nn.ModuleList(
            nn.Conv2d(len(networks) * channels, channels, kernel_size=1)
            for channels in networks[0].feature_channels
        )
        self.decoder = networks[0].decoder

    def forward(self, pixels: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """(B, M, H, W) and (B, M) -> (B, 1, K, H, W)."""
        of_sequences = [
            _on_present(encoder, pixels[:, m : m + 1], present[:, m])
            for m, encoder in enumerate(self.encoders)
        ]
        levels = zip(*of_sequences, strict=True)
        features = [
            reduce(torch.cat(level, dim=1))
            for reduce, level in zip(self.reductions, levels, strict=True)
        ]
        logits = self.decoder(features)
        return _without_absent(logits[:, None], present.any(dim=1, keepdim=True))

    def parts(self) -> Mapping[str, nn.Module]:
        """The encoders, the 1×1 convolutions, and the decoder."""
        names = [f"encoder of {sequence}" for sequence in self.sequences]
        return {
            **dict(zip(names, self.encoders, strict=True)),
            "fusion of features": self.reductions,
            "decoder": self.decoder,
        }


class LateFusion(FusedNetwork):
    """A whole network for each sequence; the caller unites their masks."""

    def __init__(self, build: BuildNetwork, *, sequences: Sequence[str], labels: int) -> None:
        super().__init__(build, sequences=sequences, labels=labels)
        self.branches = self.sequences
        self.networks = nn.ModuleList(build(1, labels) for _ in self.sequences)

    def forward(self, pixels: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """(B, M, H, W) and (B, M) -> (B, M, K, H, W)."""
        of_sequences = [
            _on_present(network, pixels[:, m : m + 1], present[:, m])[0]
            for m, network in enumerate(self.networks)
        ]
        return _without_absent(torch.stack(of_sequences, dim=1), present)

    def parts(self) -> Mapping[str, nn.Module]:
        """A network for each sequence."""
        return dict(zip(self.sequences, self.networks, strict=True))


FUSIONS: Mapping[str, type[FusedNetwork]] = {
    "early": EarlyFusion,
    "hybrid": HybridFusion,
    "late": LateFusion,
}
"""Values of the setting `fusion`."""


def fuse(
    build: BuildNetwork, *, sequences: Sequence[str], labels: int, fusion: str
) -> FusedNetwork:
    """A fresh network of any architecture in a fusion.

    Raises:
        UnknownNameError: no such fusion.
    """
    return lookup("fusion", fusion, FUSIONS)(build, sequences=sequences, labels=labels)


def _on_present(
    module: nn.Module, pixels: torch.Tensor, present: torch.Tensor
) -> list[torch.Tensor]:
    """Run a network on the slices that show its sequence, so that others enter no batch statistics.

    Args:
        module: (N, 1, H, W) -> one tensor or several, each (N, ...).
        pixels: (B, 1, H, W).
        present: (B,) bool.

    Returns:
        The tensors, each (B, ...); zeros for absent slices.
    """
    rows = present if present.any() else torch.ones_like(present)  # the shapes need one slice
    outputs = module(pixels[rows])
    outputs = [outputs] if isinstance(outputs, torch.Tensor) else outputs
    shown = present[:, None, None, None]
    return [
        output.new_zeros(len(present), *output.shape[1:]).index_put((rows,), output) * shown
        for output in outputs
    ]


def _without_absent(logits: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """(B, M, K, H, W) with `ABSENT` where (B, M) is False."""
    return logits.masked_fill(~present[:, :, None, None, None], ABSENT)
