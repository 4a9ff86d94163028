"""The contract of a baseline network."""

import torch
from torch import nn

from zeus_app.baselines.network import Network


def test_the_decoder_reads_what_the_encoder_finds() -> None:
    network = Network(nn.Conv2d(2, 4, 1), nn.Conv2d(4, 3, 1), [4])
    logits = network(torch.zeros(1, 2, 256, 256))
    assert logits.shape == (1, 3, 256, 256)
    assert network.feature_channels == (4,)
