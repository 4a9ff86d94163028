"""Runtimes in PyTorch: eager, bfloat16, compiled."""

from functools import partial

import numpy as np
import pytest
import torch

from tests.encoders.tiny_stages import BATCH, EXAMPLE, EXPECTED, stages
from zeus_app.encoders import runtime
from zeus_app.encoders.runtime import CannotRunError, CompiledRuntime, TorchRuntime

CPU = torch.device("cpu")


def test_stages_run_one_after_another() -> None:
    run = TorchRuntime(stages(), device=CPU)
    np.testing.assert_array_equal(run(BATCH), EXPECTED)
    assert run.id == "torch-cpu-f32"


def test_only_stages_that_tolerate_it_run_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "has_fast_bfloat16", lambda device: True)
    autocast_states: list[bool] = []
    chain = stages()
    for stage in chain:
        stage.module.register_forward_hook(
            lambda *_: autocast_states.append(torch.is_autocast_enabled("cpu"))
        )
    run = TorchRuntime(chain, device=CPU, bf16=True)
    np.testing.assert_array_equal(run(BATCH), EXPECTED)
    assert run.id == "torch-cpu-bf16"
    assert autocast_states == [True, False]


def test_bfloat16_is_refused_where_it_would_be_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "has_fast_bfloat16", lambda device: False)
    with pytest.raises(CannotRunError, match="has no bfloat16"):
        TorchRuntime(stages(), device=CPU, bf16=True)


def test_compiled_stages_give_what_eager_ones_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zeus_app.encoders.runtime.shutil.which", lambda name: name)
    # All of torch.compile but the C++ compiler, which takes half a minute.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    run = CompiledRuntime(stages(), EXAMPLE, device=CPU)
    np.testing.assert_array_equal(run(BATCH), EXPECTED)
    assert run.id == "torch-cpu-f32-compiled"


def test_without_a_compiler_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zeus_app.encoders.runtime.shutil.which", lambda name: None)
    with pytest.raises(CannotRunError, match=r"needs a C\+\+ compiler"):
        CompiledRuntime(stages(), EXAMPLE, device=CPU)
