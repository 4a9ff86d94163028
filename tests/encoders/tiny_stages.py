"""An encoder of two stages, small enough to compute by hand: 2 (a + b + c) + 1."""

import numpy as np
import torch
from torch import nn

from zeus_app.encoders.runtime import Stage

EXAMPLE = torch.zeros(1, 3)
BATCH = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
EXPECTED = np.array([[13], [31]], np.float32)


class Doubled(nn.Module):
    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return value * 2


def stages() -> list[Stage]:
    total = nn.Linear(3, 1)
    nn.init.ones_(total.weight)
    nn.init.ones_(total.bias)
    return [
        Stage("double", Doubled(), tolerates_bf16=True),
        Stage("sum", total.requires_grad_(False), tolerates_bf16=False),
    ]
