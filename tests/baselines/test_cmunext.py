"""CMUNeXt has the size that its paper states, and the contract of a network."""

import torch

from zeus_app.baselines.cmunext import CmunextSize, build, network

TINY = CmunextSize(dims=(2, 3, 4, 5, 6), depths=(1, 1, 1, 2, 1), kernels=(3, 3, 5, 5, 5))


def test_it_has_the_parameters_of_its_paper() -> None:
    count = sum(parameter.numel() for parameter in build(3, 1).parameters())
    assert round(count / 1e6, 2) == 3.15  # Table 1 of arXiv 2308.01239: 3.15 M


def test_each_feature_has_half_the_edge_of_the_one_before() -> None:
    features = network(1, 1, size=TINY).encoder(torch.zeros(2, 1, 64, 64))
    shapes = [(2, 2, 64, 64), (2, 3, 32, 32), (2, 4, 16, 16), (2, 5, 8, 8), (2, 6, 4, 4)]
    assert [tuple(feature.shape) for feature in features] == shapes


def test_there_is_a_logit_for_each_label_and_pixel() -> None:
    assert network(3, 4, size=TINY)(torch.zeros(2, 3, 64, 64)).shape == (2, 4, 64, 64)


def test_the_bottleneck_changes_the_coarsest_feature_alone() -> None:
    class Zero(torch.nn.Module):
        def forward(self, feature: torch.Tensor) -> torch.Tensor:
            return feature * 0

    net = network(1, 1, bottleneck=Zero(), size=TINY).eval()
    features = net.encoder(torch.rand(1, 1, 64, 64))
    without = [*features[:-1], features[-1] * 0]
    assert torch.equal(net.decoder(features), net.decoder(without))


def test_gradients_reach_every_parameter() -> None:
    net = network(2, 1, size=TINY)
    net(torch.rand(2, 2, 64, 64)).square().mean().backward()
    assert [name for name, value in net.named_parameters() if value.grad is None] == []
