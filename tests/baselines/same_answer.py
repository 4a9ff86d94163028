"""Comparison of a network with the class of MONAI that it was taken apart from."""

from collections.abc import Callable
from typing import Any

import torch

from zeus_app.baselines.network import BuildNetwork

CHANNELS, LABELS = 2, 3


def assert_same_answer(build: BuildNetwork, make_reference: Callable[[], Any]) -> None:
    """The same seed gives both the same weights, and the same picture the same logits.

    Args:
        build: of the network.
        make_reference: makes MONAI's network of `CHANNELS` and `LABELS`.
    """
    torch.manual_seed(0)
    network = build(CHANNELS, LABELS).eval()
    torch.manual_seed(0)
    reference = make_reference().eval()
    pixels = torch.rand(2, CHANNELS, 128, 128)
    with torch.inference_mode():
        expected = reference(pixels)
        assert torch.equal(network(pixels), expected)
