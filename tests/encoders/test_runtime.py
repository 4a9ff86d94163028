import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zeus_app.encoders import runtime
from zeus_app.encoders.runtime import OpenVinoRuntime, Stage, TorchRuntime, make_runtime

EXAMPLE = torch.zeros(1, 3)
BATCH = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
EXPECTED = np.array([[13], [31]], np.float32)  # 2 (a + b + c) + 1


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


def export_folder(keep: Path) -> Path:
    (folder,) = keep.parent.glob(f"{keep.name}-ov*")
    return folder


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_stages_run_one_after_another(tmp_path: Path, backend: Any) -> None:
    run = make_runtime(
        stages(), EXAMPLE, device=torch.device("cpu"), keep=tmp_path / "net", backend=backend
    )
    np.testing.assert_array_equal(run(BATCH), EXPECTED)


def test_a_cpu_gets_openvino(tmp_path: Path) -> None:
    run = make_runtime(stages(), EXAMPLE, device=torch.device("cpu"), keep=tmp_path / "net")
    assert isinstance(run, OpenVinoRuntime)


@pytest.mark.gpu
def test_a_gpu_gets_pytorch_in_bfloat16(tmp_path: Path) -> None:
    run = make_runtime(stages(), EXAMPLE, device=torch.device("cuda"), keep=tmp_path / "net")
    assert run.id == "torch-cuda-bf16"
    np.testing.assert_array_equal(run(BATCH), EXPECTED)


def test_the_second_start_reads_the_kept_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    OpenVinoRuntime(stages(), EXAMPLE, keep=tmp_path / "net")
    monkeypatch.setattr(runtime, "_convert", lambda *_: pytest.fail("exported again"))
    run = OpenVinoRuntime(stages(), EXAMPLE, keep=tmp_path / "net")
    np.testing.assert_array_equal(run(BATCH), EXPECTED)


@pytest.mark.parametrize("damage", ["cut short", "removed"])
def test_a_damaged_export_is_made_anew(tmp_path: Path, damage: str) -> None:
    keep = tmp_path / "net"
    OpenVinoRuntime(stages(), EXAMPLE, keep=keep)
    damaged = export_folder(keep) / "sum.bin"
    if damage == "removed":
        damaged.unlink()
    else:
        damaged.write_bytes(damaged.read_bytes()[:4])
    run = OpenVinoRuntime(stages(), EXAMPLE, keep=keep)
    np.testing.assert_array_equal(run(BATCH), EXPECTED)


def test_an_export_that_cannot_be_kept_still_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(folder: Path, make: Any) -> Path:
        (tmp_path / "scratch").mkdir()
        make(tmp_path / "scratch")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runtime, "derive", full)
    run = OpenVinoRuntime(stages(), EXAMPLE, keep=tmp_path / "net")
    np.testing.assert_array_equal(run(BATCH), EXPECTED)
    assert "cannot be kept" in caplog.text


def test_when_openvino_fails_pytorch_runs_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("unknown instruction set")

    monkeypatch.setattr(runtime, "_import_openvino", fail)
    with caplog.at_level(logging.WARNING):
        run = make_runtime(stages(), EXAMPLE, device=torch.device("cpu"), keep=tmp_path / "net")
    assert isinstance(run, TorchRuntime)
    np.testing.assert_array_equal(run(BATCH), EXPECTED)
    assert "OpenVINO failed (unknown instruction set)" in caplog.text


def test_the_id_names_software_and_precision(tmp_path: Path) -> None:
    import openvino

    run = OpenVinoRuntime(stages(), EXAMPLE, keep=tmp_path / "net", precision="f32")
    assert run.id == f"openvino-{openvino.__version__.split('-')[0]}-f32"


def test_importing_openvino_reports_to_nobody() -> None:
    import subprocess
    import sys

    check = (
        "import sys; from zeus_app.encoders import runtime; runtime._import_openvino();"
        "sys.exit(sys.modules['openvino_telemetry'] is not None)"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
