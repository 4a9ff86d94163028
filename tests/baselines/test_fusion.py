"""The three fusions, with a network small enough to work its answers out by hand."""

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from zeus_app.baselines.fusion import FUSIONS, EarlyFusion, FusedNetwork, HybridFusion, fuse
from zeus_app.baselines.network import Network
from zeus_app.errors import UnknownNameError
from zeus_app.protocols import ABSENT

SEQUENCES = ("T1", "T2", "FLAIR")


class TwoLevels(nn.Module):
    """Features: the sum of the channels, and twice this sum at half the resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.slices_seen = 0

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        self.slices_seen += len(pixels)
        total = self.weight * pixels.sum(dim=1, keepdim=True)
        return [total, 2 * total[..., ::2, ::2]]


class Coarse(nn.Module):
    """Logits of K labels: the coarse feature, enlarged, plus the number of the label."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.labels = labels
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        coarse = self.weight * features[1].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        return torch.cat([coarse + label for label in range(self.labels)], dim=1)


def build(in_channels: int, labels: int) -> Network:
    return Network(TwoLevels(), Coarse(labels), (1, 1))


def a_network(fusion: str, labels: int = 2) -> FusedNetwork:
    return fuse(build, sequences=SEQUENCES, labels=labels, fusion=fusion)


def constant(*values: float) -> torch.Tensor:
    """A slice of 4×4 pixels, with one value in each sequence."""
    return torch.tensor(values)[None, :, None, None].expand(1, -1, 4, 4).clone()


def shown(*names: str) -> torch.Tensor:
    return torch.tensor([[name in names for name in SEQUENCES]])


def test_early_fusion_reads_all_sequences_as_channels() -> None:
    logits = a_network("early")(constant(1, 2, 4), shown(*SEQUENCES))
    assert logits.shape == (1, 1, 2, 4, 4)
    assert logits[0, 0, :, 0, 0].tolist() == [14, 15]  # twice the sum, plus the label's number


def test_in_early_fusion_an_absent_sequence_is_a_channel_of_zeros() -> None:
    logits = a_network("early")(constant(1, 2, 4), shown("T1", "FLAIR"))
    assert logits[0, 0, :, 0, 0].tolist() == [10, 11]


def test_hybrid_fusion_mixes_the_features_of_a_level_by_a_convolution() -> None:
    network = a_network("hybrid")
    assert isinstance(network, HybridFusion)
    with torch.no_grad():
        coarse = network.reductions[1]
        assert isinstance(coarse, nn.Conv2d)
        coarse.weight[:] = torch.tensor([1.0, 10.0, 100.0])[None, :, None, None]
        coarse.bias = None
    logits = network(constant(1, 2, 4), shown(*SEQUENCES))
    assert logits[0, 0, :, 0, 0].tolist() == [842, 843]
    logits = network(constant(1, 2, 4), shown("T1", "FLAIR"))  # the features of T2 are zeros
    assert logits[0, 0, :, 0, 0].tolist() == [802, 803]


def test_hybrid_fusion_has_an_encoder_a_sequence_and_one_decoder() -> None:
    assert list(a_network("hybrid").parts()) == [
        "encoder of T1", "encoder of T2", "encoder of FLAIR", "fusion of features", "decoder",
    ]  # fmt: skip


def test_late_fusion_has_a_network_a_sequence() -> None:
    network = a_network("late")
    assert network.branches == tuple(network.parts()) == SEQUENCES
    logits = network(constant(1, 2, 4), shown(*SEQUENCES))
    assert logits[0, :, :, 0, 0].tolist() == [[2, 3], [4, 5], [8, 9]]


def test_in_late_fusion_an_absent_sequence_shows_nothing() -> None:
    logits = a_network("late")(constant(1, 2, 4), shown("T2"))
    assert (logits[0, [0, 2]] == ABSENT).all()
    assert logits[0, 1, :, 0, 0].tolist() == [4, 5]


def test_each_slice_has_sequences_of_its_own() -> None:
    pixels = torch.cat([constant(1, 2, 4), constant(3, 5, 7)])
    present = torch.cat([shown("T1"), shown("T2")])
    logits = a_network("late", labels=1)(pixels, present)[:, :, 0, 0, 0]
    assert logits.tolist() == [[2, ABSENT, ABSENT], [ABSENT, 10, ABSENT]]


@pytest.mark.parametrize("fusion", ["hybrid", "late"])
def test_absent_slices_enter_no_batch_statistics(fusion: str) -> None:
    network = a_network(fusion)
    pixels = torch.cat([constant(1, 2, 4), constant(3, 5, 7)])
    network(pixels, torch.cat([shown("T1", "T2", "FLAIR"), shown("T2", "FLAIR")]))
    encoders = [module for module in network.modules() if isinstance(module, TwoLevels)]
    assert [encoder.slices_seen for encoder in encoders] == [1, 2, 2]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_slice_without_any_sequence_shows_nothing(fusion: str) -> None:
    assert (a_network(fusion)(constant(1, 2, 4), shown()) == ABSENT).all()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_parts_hold_all_weights(fusion: str) -> None:
    network = a_network(fusion)
    of_parts = [p for part in network.parts().values() for p in part.parameters()]
    assert {id(p) for p in of_parts} == {id(p) for p in network.parameters()}


def test_one_sequence_suffices() -> None:
    network = fuse(build, sequences=("T1",), labels=1, fusion="early")
    assert isinstance(network, EarlyFusion)
    assert network(constant(3), torch.tensor([[True]])).shape == (1, 1, 1, 4, 4)


def test_an_unknown_fusion_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="early, hybrid, late"):
        a_network("middle")
