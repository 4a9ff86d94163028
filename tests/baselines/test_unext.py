"""UNeXt: the shift by hand, the block against its equations, and the published size."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.baselines.gradients import count_parameters, parameters_without_gradient
from zeus_app.baselines.unext import CHANNELS, TokenizedMLP, build, shift


def test_five_groups_of_channels_move_by_minus_two_to_two_pixels() -> None:
    row = torch.tensor([1.0, 2, 3, 4])
    features = row.expand(1, 5, 1, 4)
    expected = torch.tensor(
        [[3.0, 4, 0, 0], [2, 3, 4, 0], [1, 2, 3, 4], [0, 1, 2, 3], [0, 0, 1, 2]]
    )
    assert torch.equal(shift(features, axis=3)[0, :, 0], expected)


def test_a_shift_along_the_height_is_one_along_the_width_of_the_transposed_picture() -> None:
    features = torch.randn(2, 12, 6, 7)
    along_height = shift(features, axis=2)
    assert torch.equal(along_height.mT, shift(features.mT, axis=3))


def test_channels_that_five_does_not_divide_are_shared_out_from_the_first_group_on() -> None:
    features = torch.arange(1.0, 4).expand(1, 7, 1, 3)
    first_pixels = shift(features, axis=3)[0, :, 0, 0]
    assert first_pixels.tolist() == [3, 3, 2, 2, 1, 0, 0]


def test_a_tokenized_block_follows_the_papers_equations() -> None:
    block = TokenizedMLP(10)
    tokens = torch.randn(1, 10, 6, 5)
    mixed = mix_channels(block.across, roll_two_channels_a_step(tokens, axis=3))
    mixed = F.gelu(block.depthwise(mixed))
    mixed = mix_channels(block.down, roll_two_channels_a_step(mixed, axis=2))
    expected = F.layer_norm((tokens + mixed).permute(0, 2, 3, 1), (10,)).permute(0, 3, 1, 2)
    assert torch.allclose(block(tokens), expected, atol=1e-5)


def roll_two_channels_a_step(features: torch.Tensor, axis: int) -> torch.Tensor:
    """Roll channels 0 and 1 by -2, 2 and 3 by -1, and so on; what wraps around becomes zero."""
    rolled = torch.zeros_like(features)
    for channel in range(10):
        offset = channel // 2 - 2
        moved = features[:, channel].roll(offset, dims=axis - 1).movedim(axis - 1, 0).clone()
        if offset:
            moved[slice(offset) if offset > 0 else slice(offset, None)] = 0
        rolled[:, channel] = moved.movedim(0, axis - 1)
    return rolled


def mix_channels(linear: nn.Conv2d, features: torch.Tensor) -> torch.Tensor:
    mixed = F.linear(features.permute(0, 2, 3, 1), linear.weight[:, :, 0, 0], linear.bias)
    return mixed.permute(0, 3, 1, 2)


@pytest.mark.parametrize(("channels", "labels"), [(1, 1), (3, 4)])
def test_it_answers_logits_of_every_label_at_full_resolution(channels: int, labels: int) -> None:
    logits = build(channels, labels)(torch.randn(2, channels, 256, 256))
    assert logits.shape == (2, labels, 256, 256)


def test_its_features_halve_the_resolution_five_times() -> None:
    features = build(1, 1).encoder(torch.randn(1, 1, 256, 256))
    assert [f.shape[1:] for f in features] == [
        (channels, 256 // 2**n, 256 // 2**n) for n, channels in enumerate(CHANNELS, start=1)
    ]


def test_a_gradient_reaches_every_parameter() -> None:
    assert parameters_without_gradient(build(3, 4), torch.randn(2, 3, 256, 256)) == []


def test_it_has_the_size_that_the_paper_states() -> None:
    assert round(count_parameters(build(3, 1)) / 1e6, 2) == 1.47


def test_it_runs_in_half_precision() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        logits = build(1, 1)(torch.randn(1, 1, 256, 256))
    assert math.isfinite(logits.float().sum().item())
