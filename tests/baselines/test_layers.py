"""Layers that several baseline networks share."""

import torch

from zeus_app.baselines.layers import ChannelNorm, ConvNormReLU


def test_a_channel_norm_makes_every_position_mean_zero_and_variance_one() -> None:
    features = torch.tensor([1.0, 3.0, 5.0, 9.0]).reshape(1, 2, 1, 2)  # positions (1, 5) and (3, 9)
    normed = ChannelNorm(2)(features)
    assert torch.allclose(normed, torch.tensor([-1.0, -1.0, 1.0, 1.0]).reshape(1, 2, 1, 2))


def test_a_convolution_block_keeps_the_resolution_and_is_never_negative() -> None:
    features = ConvNormReLU(3, 5)(torch.randn(2, 3, 6, 4))
    assert features.shape == (2, 5, 6, 4)
    assert features.min() == 0


def test_a_constant_added_by_a_bias_would_change_nothing() -> None:
    block = ConvNormReLU(1, 1)
    features = torch.randn(2, 1, 4, 4)
    shifted = torch.nn.Sequential(block[0], _AddTen(), block[1], block[2])
    assert torch.allclose(block(features), shifted(features), atol=1e-5)


class _AddTen(torch.nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features + 10
