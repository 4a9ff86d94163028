import pytest
import torch
from monai.networks.nets import BasicUNetPlusPlus
from torch import nn

from tests.baselines.same_answer import CHANNELS, LABELS, assert_same_answer
from zeus_app.baselines.unetpp import build


class LastHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = BasicUNetPlusPlus(2, CHANNELS, LABELS, (32, 64, 128, 256, 512, 32))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        answers: list[torch.Tensor] = self.net(pixels)
        return answers[-1]


def test_taken_apart_it_answers_as_the_last_head_of_monai_s_unet_plus_plus() -> None:
    assert_same_answer(build, LastHead)


def test_it_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    build(1, 1)
    assert capsys.readouterr().out == ""


def test_the_three_unused_heads_are_left_out() -> None:
    def parameters(network: nn.Module) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    # A head of MONAI's is a 1×1 convolution from 32 channels, with an offset for each label.
    assert parameters(LastHead()) - parameters(build(CHANNELS, LABELS)) == 3 * (32 + 1) * LABELS
