"""OpenVINO and ONNX Runtime: a network is exported once, reused, and never left half-written."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.encoders.tiny_stages import BATCH, EXAMPLE, EXPECTED, stages
from zeus_app.encoders import exported_runtimes
from zeus_app.encoders.exported_runtimes import OnnxRuntime, OpenVinoRuntime
from zeus_app.encoders.runtime import CannotRunError, Stage


def export_folder(artifacts: Path) -> Path:
    (folder,) = artifacts.parent.glob(f"{artifacts.name}-ov*")
    return folder


def test_stages_run_one_after_another(tmp_path: Path) -> None:
    run = OpenVinoRuntime(stages(), EXAMPLE, artifacts=tmp_path / "net")
    np.testing.assert_array_equal(run(BATCH), EXPECTED)


@pytest.mark.parametrize("pictures", [1, 2, 3, 8])
def test_pictures_that_run_at_the_same_time_come_back_in_their_order(
    tmp_path: Path, pictures: int
) -> None:
    run = OpenVinoRuntime(stages(), EXAMPLE, artifacts=tmp_path / "net")
    batch = np.arange(3 * pictures, dtype=np.float32).reshape(pictures, 3)
    one_by_one = [run(batch[i : i + 1]) for i in range(pictures)]
    np.testing.assert_array_equal(run(batch), np.concatenate(one_by_one))
    assert len({float(value) for value in run(batch)[:, 0]}) == pictures


def test_with_one_core_pictures_run_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    run = OpenVinoRuntime(stages(), EXAMPLE, artifacts=tmp_path / "net")
    np.testing.assert_array_equal(run(BATCH), EXPECTED)
    assert "_streams" not in vars(run)


def test_the_second_start_reads_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    OpenVinoRuntime(stages(), EXAMPLE, artifacts=tmp_path / "net")
    monkeypatch.setattr(exported_runtimes, "to_openvino", lambda *_: pytest.fail("exported again"))
    run = OpenVinoRuntime(stages(), EXAMPLE, artifacts=tmp_path / "net")
    np.testing.assert_array_equal(run(BATCH), EXPECTED)


def test_other_weights_are_exported_again(tmp_path: Path) -> None:
    OpenVinoRuntime(stages(), EXAMPLE, artifacts=tmp_path / "net-0123")
    changed_stages = stages()
    weight = changed_stages[1].module.weight
    assert isinstance(weight, torch.Tensor)
    weight.data *= 2  # 4 (a + b + c) + 1
    run = OpenVinoRuntime(changed_stages, EXAMPLE, artifacts=tmp_path / "net-4567")
    np.testing.assert_array_equal(run(BATCH), [[25], [61]])


@pytest.mark.parametrize("damage", ["cut short", "removed"])
def test_a_damaged_export_is_made_again(tmp_path: Path, damage: str) -> None:
    artifacts = tmp_path / "net"
    OpenVinoRuntime(stages(), EXAMPLE, artifacts=artifacts)
    damaged = export_folder(artifacts) / "sum.bin"
    if damage == "removed":
        damaged.unlink()
    else:
        damaged.write_bytes(damaged.read_bytes()[:4])
    run = OpenVinoRuntime(stages(), EXAMPLE, artifacts=artifacts)
    np.testing.assert_array_equal(run(BATCH), EXPECTED)


def test_an_export_that_cannot_be_saved_still_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(folder: Path, make: Any) -> Path:
        (tmp_path / "scratch").mkdir()
        make(tmp_path / "scratch")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exported_runtimes, "make_artifact", full)
    run = OpenVinoRuntime(stages(), EXAMPLE, artifacts=tmp_path / "net")
    np.testing.assert_array_equal(run(BATCH), EXPECTED)
    assert "cannot be saved" in caplog.text


def test_the_id_names_software_and_precision(tmp_path: Path) -> None:
    import openvino

    run = OpenVinoRuntime(stages(), EXAMPLE, artifacts=tmp_path / "net")
    assert run.id == f"openvino-{openvino.__version__.split('-')[0]}-f32"


def test_openvino_reports_to_no_analytics_server() -> None:
    check = (
        "import sys; from zeus_app.encoders.exported_runtimes import import_openvino;"
        "import_openvino(); sys.exit(sys.modules['openvino_telemetry'] is not None)"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_without_onnx_the_error_names_the_missing_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(CannotRunError, match="onnx is not installed"):
        OnnxRuntime(stages(), EXAMPLE, artifacts=tmp_path / "net")


def test_onnx_runtime_runs_stages_one_after_another(tmp_path: Path) -> None:
    version = metadata.version("onnxruntime")
    run = OnnxRuntime(stages(), EXAMPLE, artifacts=tmp_path / "net")
    np.testing.assert_array_equal(run(BATCH), EXPECTED)
    assert run.id == f"onnxruntime-{version}-f32"


@pytest.mark.parametrize("export", [OnnxRuntime, OpenVinoRuntime])
def test_an_export_leaves_the_network_in_the_mode_it_was_in(tmp_path: Path, export: Any) -> None:
    """A wrapper is in training mode by default, while the modules inside it are in eval mode."""
    wrapper = nn.Sequential(nn.Dropout().eval())
    export([Stage("wrapped", wrapper, tolerates_bf16=False)], EXAMPLE, artifacts=tmp_path / "net")
    assert not wrapper[0].training
