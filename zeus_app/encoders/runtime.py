"""Runtimes of a frozen encoder in PyTorch. `exported_runtimes.py` has the others.

An encoder is a chain of stages. Each stage says whether it tolerates bfloat16.
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
    """Runs the stages of an encoder one after another."""

    id: str  # software and precision, because both change the last digits

    def __call__(self, batch: FloatArray) -> FloatArray:
        """(N, ...) float32 -> (N, ...) float32."""


class TorchRuntime:
    """Stages in PyTorch; with `bf16`, the stages that tolerate it run in bfloat16."""

    def __init__(
        self, stages: Sequence[Stage], *, device: torch.device, bf16: bool = False
    ) -> None:
        """Move the stages to `device`.

        Raises:
            CannotRunError: the device has no bfloat16.
        """
        if bf16 and not has_fast_bfloat16(device):
            raise CannotRunError(f"this {device.type} has no bfloat16")
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
    """Stages through torch.compile, in float32; each process compiles again or reads the cache."""

    def __init__(
        self, stages: Sequence[Stage], example: torch.Tensor, *, device: torch.device
    ) -> None:
        """Compile for one input of the example's shape.

        Raises:
            CannotRunError: no C++ compiler.
        """
        if not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))):
            raise CannotRunError("torch.compile needs a C++ compiler, and none is installed")
        compiled = [
            replace(stage, module=cast(nn.Module, torch.compile(stage.module, dynamic=False)))
            for stage in stages
        ]
        super().__init__(compiled, device=device)
        self.id += "-compiled"
        self(example.numpy())  # so that a runtime that fails when it runs fails here

    def __call__(self, batch: FloatArray) -> FloatArray:
        """(N, ...) float32 -> (N, ...) float32, one by one: another batch size compiles again."""
        run = super().__call__
        return np.concatenate([run(batch[i : i + 1]) for i in range(len(batch))])
