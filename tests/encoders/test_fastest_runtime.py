"""The choice of a runtime, with fake runtimes that take a set time and add a set error."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from zeus_app.encoders import fastest_runtime
from zeus_app.encoders.fastest_runtime import Measurement, RuntimeInputs, fastest, make_runtime
from zeus_app.encoders.runtime import CannotRunError, Runtime
from zeus_app.errors import InputError, UnknownNameError
from zeus_app.settings.config import EncoderRuntime
from zeus_app.types import BoolArray, FloatArray


class Machine:
    """Builds fake runtimes that take the given seconds per slice; records which are built."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock_s = 0.0
        self.built: list[str] = []
        self.runtimes: dict[str, Callable[[RuntimeInputs], Runtime]] = {}
        monkeypatch.setattr(
            "zeus_app.encoders.fastest_runtime.time.perf_counter", lambda: self.clock_s
        )
        monkeypatch.setattr(fastest_runtime, "RUNTIMES", self.runtimes)

    def has(
        self, name: str, seconds: float, *, error: float = 0, first_s: tuple[float, ...] = ()
    ) -> None:
        def build(inputs: RuntimeInputs) -> Runtime:
            self.built.append(name)
            return FakeRuntime(name, self, list(first_s), seconds, error)

        self.runtimes[name] = build

    def lacks(self, name: str, why: Exception) -> None:
        def build(inputs: RuntimeInputs) -> Runtime:
            self.built.append(name)
            raise why

        self.runtimes[name] = build


class FakeRuntime:
    def __init__(
        self, name: str, machine: Machine, first_s: list[float], seconds: float, error: float
    ) -> None:
        self.id, self._machine, self._first_s = name, machine, first_s
        self._seconds, self._error = seconds, error

    def __call__(self, batch: FloatArray) -> FloatArray:
        self._machine.clock_s += self._first_s.pop(0) if self._first_s else self._seconds
        return batch + np.float32(self._error)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(monkeypatch)
    machine.has("torch", 2.0)
    return machine


def bright(embeddings: FloatArray) -> BoolArray:
    """(3, 256, 256) -> (3, 1, 256, 256): the mask is every bright pixel."""
    return embeddings[:, None] > 0.55


def chosen(folder: Path, name: str = "auto", weights: str = "net-0123") -> str:
    inputs = RuntimeInputs([], torch.zeros(1), torch.device("cpu"), folder / weights)
    return make_runtime(inputs, name=cast(EncoderRuntime, name), masks=bright).id


def saved_choice(folder: Path) -> Path:
    (path,) = folder.glob("net-0123-runtime-*.json")
    return path


def test_the_fastest_runtime_is_chosen(machine: Machine, tmp_path: Path) -> None:
    machine.has("openvino", 1.3)
    machine.has("openvino-bf16", 1.1)
    machine.has("onnx", 1.2)
    assert chosen(tmp_path) == "openvino-bf16"


def test_after_one_that_is_twice_as_fast_no_other_is_tried(
    machine: Machine, tmp_path: Path
) -> None:
    machine.has("openvino", 1.0)
    machine.has("onnx", 0.1)
    assert chosen(tmp_path) == "openvino"
    assert machine.built == ["torch", "openvino", "openvino"]  # measured, then used


def test_after_45_s_no_other_is_tried(machine: Machine, tmp_path: Path) -> None:
    machine.has("openvino", 1.9, first_s=(46,))
    machine.has("onnx", 0.1)
    assert chosen(tmp_path) == "openvino"


def test_a_faster_runtime_with_other_masks_is_not_chosen(machine: Machine, tmp_path: Path) -> None:
    machine.has("openvino-bf16", 0.5, error=0.2)
    machine.has("openvino", 1.0)
    assert chosen(tmp_path) == "openvino"


def test_a_small_error_that_leaves_the_masks_is_accepted(machine: Machine, tmp_path: Path) -> None:
    machine.has("openvino-bf16", 0.5, error=1e-4)
    assert chosen(tmp_path) == "openvino-bf16"


def test_masks_must_agree_to_99_percent() -> None:
    just, short = Measurement("a", 1.0, 0, 0.99), Measurement("b", 0.5, 0, 0.9899)
    assert fastest([Measurement("torch", 2.0), just, short]) == "a"


def test_a_runtime_that_cannot_run_is_skipped_and_the_reason_logged(
    machine: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine.lacks("onnx", CannotRunError("onnxruntime is not installed"))
    machine.lacks("openvino", RuntimeError("unknown instruction set"))
    machine.has("torch-bf16", 1.5)
    with caplog.at_level(logging.INFO):
        assert chosen(tmp_path) == "torch-bf16"
    assert "onnx: onnxruntime is not installed" in caplog.text
    assert "openvino: unknown instruction set" in caplog.text
    assert "torch-bf16: 1500 ms a slice, relative error 0.0e+00, masks agree 1.0000" in caplog.text


def test_the_first_run_is_a_warm_up(machine: Machine, tmp_path: Path) -> None:
    machine.has("torch-compiled", 0.5, first_s=(60,))
    machine.has("openvino", 1.0)
    assert chosen(tmp_path) == "torch-compiled"


def test_runs_that_other_work_slowed_do_not_count(machine: Machine, tmp_path: Path) -> None:
    machine.has("openvino-bf16", 0.5, first_s=(4, 4, 1))
    machine.has("openvino", 1.0)
    assert chosen(tmp_path) == "openvino-bf16"


def test_a_slow_encoder_sees_each_picture_once_after_the_warm_up(
    machine: Machine, tmp_path: Path
) -> None:
    machine.has("torch", 30.0)
    chosen(tmp_path)
    assert machine.clock_s == 4 * 30


def test_a_small_encoder_runs_in_eager_pytorch_unmeasured(machine: Machine, tmp_path: Path) -> None:
    machine.has("torch", 0.01)
    machine.has("openvino", 0.001)
    assert chosen(tmp_path) == "torch"
    assert "openvino" not in machine.built


# --- the saved choice ---


def test_the_choice_is_saved_with_the_measurements(machine: Machine, tmp_path: Path) -> None:
    machine.has("openvino", 1.0)
    chosen(tmp_path)
    record = json.loads(saved_choice(tmp_path).read_text())
    assert record["chosen"] == "openvino"
    assert [(entry["name"], entry["seconds"]) for entry in record["measured"]] == [
        ("torch", 2.0),
        ("openvino", 1.0),
    ]


def test_a_saved_choice_is_not_measured_again(machine: Machine, tmp_path: Path) -> None:
    machine.has("openvino", 1.0)
    chosen(tmp_path)
    machine.built.clear()
    assert chosen(tmp_path) == "openvino"
    assert machine.built == ["openvino"]


def test_other_weights_are_measured_again(machine: Machine, tmp_path: Path) -> None:
    chosen(tmp_path)
    machine.has("openvino", 1.0)
    assert chosen(tmp_path, weights="net-4567") == "openvino"


def test_other_software_is_measured_again(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen(tmp_path)
    machine.has("openvino", 1.0)
    monkeypatch.setattr(fastest_runtime, "version", lambda package: "next")
    assert chosen(tmp_path) == "openvino"


def test_a_process_with_fewer_threads_chooses_the_same(machine: Machine, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    chosen(tmp_path)
    machine.built.clear()
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        chosen(tmp_path)
    finally:
        torch.set_num_threads(threads)
    assert machine.built == ["torch"]
    assert saved_choice(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"chosen": "tpu"}'])
def test_an_invalid_saved_choice_is_replaced(
    machine: Machine, tmp_path: Path, content: str
) -> None:
    machine.has("openvino", 1.0)
    chosen(tmp_path)
    saved_choice(tmp_path).write_text(content)
    assert chosen(tmp_path) == "openvino"
    assert json.loads(saved_choice(tmp_path).read_text())["chosen"] == "openvino"


def test_in_a_read_only_folder_every_start_measures(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(fastest_runtime, "write_text_atomically", forbidden)
    machine.has("openvino", 1.0)
    assert chosen(tmp_path) == chosen(tmp_path) == "openvino"
    assert machine.built.count("torch") == 2


def test_eager_pytorch_replaces_a_saved_choice_that_fails(
    machine: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine.has("openvino", 1.0)
    chosen(tmp_path)
    machine.lacks("openvino", RuntimeError("unknown instruction set"))
    assert chosen(tmp_path) == "torch"
    assert "openvino failed (unknown instruction set)" in caplog.text


# --- a setting ---


def test_a_named_runtime_is_not_measured(machine: Machine, tmp_path: Path) -> None:
    machine.has("openvino", 1.0)
    assert chosen(tmp_path, "openvino") == "openvino"
    assert machine.built == ["openvino"]


def test_a_named_runtime_that_cannot_run_is_refused(machine: Machine, tmp_path: Path) -> None:
    machine.lacks("onnx", CannotRunError("onnxruntime is not installed"))
    with pytest.raises(InputError, match="encoder_runtime onnx: onnxruntime is not installed"):
        chosen(tmp_path, "onnx")


def test_an_unknown_runtime_is_answered_with_the_known_ones(
    machine: Machine, tmp_path: Path
) -> None:
    with pytest.raises(UnknownNameError, match="torch"):
        chosen(tmp_path, "tensorrt")


def test_the_setting_knows_every_runtime() -> None:
    from typing import get_args

    from zeus_app.settings.config import EncoderRuntime

    assert set(get_args(EncoderRuntime)) == {"auto", *fastest_runtime.RUNTIMES}


@pytest.mark.gpu
def test_a_gpu_gets_pytorch_in_bfloat16(tmp_path: Path) -> None:
    from tests.encoders.tiny_stages import BATCH, EXAMPLE, EXPECTED, stages

    inputs = RuntimeInputs(stages(), EXAMPLE, torch.device("cuda"), tmp_path / "net")
    run = make_runtime(inputs, name="auto", masks=bright)
    assert run.id == "torch-cuda-bf16"
    np.testing.assert_array_equal(run(BATCH), EXPECTED)
