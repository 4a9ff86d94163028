"""How a frozen encoder is run in PyTorch; `exported.py` has what runs elsewhere.

An encoder is a chain of stages; each says whether bfloat16 is good enough for it.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, cast

import numpy as np
import torch
from torch import nn

from zeus_app.devices import has_fast_bfloat16
from zeus_app.types import FloatArray


class CannotRunError(Exception):
    """A runtime does not work on this machine; the message says why."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One link of an encoder: a module of one input and one output, dimension 0 the batch."""

    name: str
    module: nn.Module
    tolerates_bf16: bool


class Runtime(Protocol):
    """Something that runs the stages of an encoder one after another."""

    id: str  # software and precision, since both change the last digits

    def __call__(self, batch: FloatArray) -> FloatArray:
        """(N, ...) float32 -> (N, ...) float32."""


class TorchRuntime:
    """Stages in PyTorch; those that tolerate it in bfloat16, where that is asked for."""

    def __init__(
        self, stages: Sequence[Stage], *, device: torch.device, bf16: bool = False
    ) -> None:
        """Move the stages to `device`.

        Raises:
            CannotRunError: bfloat16 on a device that has to imitate it.
        """
        if bf16 and not has_fast_bfloat16(device):
            raise CannotRunError(f"this {device.type} does not multiply in bfloat16")
        self.id = f"torch-{device.type}-{'bf16' if bf16 else 'f32'}"
        self._device = device
        self._bf16 = bf16
        self._stages = stages
        for stage in stages:
            stage.module.to(device)

    @torch.inference_mode()
    def __call__(self, batch: FloatArray) -> FloatArray:
        """(N, ...) float32 -> (N, ...) float32."""
        value = torch.from_numpy(np.ascontiguousarray(batch)).to(self._device)
        for stage in self._stages:
            half = self._bf16 and stage.tolerates_bf16
            with torch.autocast(self._device.type, torch.bfloat16, enabled=half):
                value = stage.module(value)
        result: FloatArray = value.float().cpu().numpy()
        return result


class CompiledRuntime(TorchRuntime):
    """Stages through torch.compile, in float32; each process compiles anew, or reads its cache."""

    def __init__(
        self, stages: Sequence[Stage], example: torch.Tensor, *, device: torch.device
    ) -> None:
        """Compile for one input of the example's shape.

        Raises:
            CannotRunError: no C++ compiler.
        """
        if not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))):
            raise CannotRunError("no C++ compiler, which torch.compile needs")
        compiled = [
            replace(stage, module=cast(nn.Module, torch.compile(stage.module, dynamic=False)))
            for stage in stages
        ]
        super().__init__(compiled, device=device)
        self.id += "-compiled"
        self(example.numpy())  # what fails only when run should fail here

    def __call__(self, batch: FloatArray) -> FloatArray:
        """(N, ...) float32 -> (N, ...) float32, one at a time: another size compiles again."""
        run = super().__call__
        return np.concatenate([run(batch[i : i + 1]) for i in range(len(batch))])
