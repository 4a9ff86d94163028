"""MISSFormer as a whole: shapes, gradients, and its size beside the published one."""

import math

import pytest
import torch

from tests.baselines.gradients import count_parameters, parameters_without_gradient
from zeus_app.baselines.missformer import CHANNELS, HEADS, REDUCTIONS, build
from zeus_app.baselines.missformer_blocks import TransformerBlock


@pytest.mark.parametrize(("channels", "labels"), [(1, 1), (3, 4)])
def test_it_answers_logits_of_every_label_at_full_resolution(channels: int, labels: int) -> None:
    with torch.inference_mode():
        logits = build(channels, labels)(torch.randn(1, channels, 256, 256))
    assert logits.shape == (1, labels, 256, 256)


def test_its_features_are_a_quarter_to_a_thirty_second_of_the_resolution() -> None:
    with torch.inference_mode():
        features = build(1, 1).encoder(torch.randn(1, 1, 256, 256))
    sizes = (64, 32, 16, 8)
    assert [f.shape[1:] for f in features] == [
        (channels, size, size) for channels, size in zip(CHANNELS, sizes, strict=True)
    ]


def test_a_gradient_reaches_every_parameter() -> None:
    assert parameters_without_gradient(build(3, 2), torch.randn(1, 3, 256, 256)) == []


def test_the_published_size_is_reached_with_the_parts_that_the_docstring_names() -> None:
    coarsest = TransformerBlock(CHANNELS[3], HEADS[3], REDUCTIONS[3])
    merging = 2 * 512 * 512 + 512
    hidden = 4 * sum(CHANNELS)  # of one Enhanced Mix-FFN a level
    ffns = 2 + 2 + 4  # a level: encoder, decoder and bridge
    norms = 2 * ffns * 2 * hidden  # two norms, each with a weight and a bias
    unused = 2 * count_parameters(coarsest) + merging + norms
    assert round((count_parameters(build(3, 9)) + unused) / 1e6, 2) == 42.46


def test_it_runs_in_half_precision() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        logits = build(1, 1)(torch.randn(1, 1, 256, 256))
    assert math.isfinite(logits.float().sum().item())
