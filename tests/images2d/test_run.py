"""The folder of a run: what it holds, and what is refused."""

import csv
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from zeus_app.errors import InputError
from zeus_app.images2d.run import RunFolder, RunSettings, write_rows
from zeus_app.images2d.split import Split, read_split

NONE = RunSettings(kind="none", llm="", layer=None, edge_px=32)
RANDOM = RunSettings(kind="random", llm="smollm2-135m", layer=3, seed=1, edge_px=32)
SPLIT = Split(("a",), ("b",))
ROLES = {"00ff": "trained on"}


def begun(folder: Path, settings: RunSettings = NONE) -> RunFolder:
    run = RunFolder(folder)
    run.begin(settings, SPLIT, ROLES)
    return run


def test_settings_and_split_are_read_as_they_were_written(tmp_path: Path) -> None:
    run = begun(tmp_path, RANDOM)
    assert run.settings() == RANDOM
    assert read_split(tmp_path / "split.json") == SPLIT
    assert run.roles() == ROLES


@pytest.mark.parametrize("settings", [NONE, RANDOM])
def test_weights_make_the_same_network_again(settings: RunSettings, tmp_path: Path) -> None:
    run, network = begun(tmp_path, settings), settings.network().eval()
    with torch.no_grad():
        next(network.parameters()).add_(0.1)
    run.save_weights(network.state_dict())
    pixels = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(run.trained()(pixels), network(pixels))


def test_a_frozen_layer_is_not_in_the_weights(tmp_path: Path) -> None:
    begun(tmp_path / "none").save_weights(NONE.network().state_dict())
    begun(tmp_path / "random", RANDOM).save_weights(RANDOM.network().state_dict())
    sizes = [
        (tmp_path / name / "weights.safetensors").stat().st_size for name in ("none", "random")
    ]
    # Two linear layers between 256 and 576 channels, in float32; the layer has 14 MB.
    assert sizes[1] - sizes[0] == pytest.approx(4 * (2 * 256 * 576 + 256 + 576), rel=0.01)


def test_the_weights_of_another_layer_are_refused(tmp_path: Path) -> None:
    run = begun(tmp_path, RANDOM)
    run.save_weights(RANDOM.model_copy(update={"seed": 2}).network().state_dict())
    with pytest.raises(InputError, match="another frozen LLM layer"):
        run.trained()


def test_a_run_is_replaced_by_force_alone(tmp_path: Path) -> None:
    run = begun(tmp_path)
    with pytest.raises(InputError, match="--force"):
        run.check_free(force=False)
    run.check_free(force=True)


def test_the_weights_of_a_replaced_run_are_removed(tmp_path: Path) -> None:
    run = begun(tmp_path)
    run.save_weights(NONE.network().state_dict())
    begun(tmp_path)
    with pytest.raises(InputError, match="wait for the training"):
        run.trained()


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        RunFolder(tmp_path).settings()


def test_roles_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    run = begun(tmp_path)
    (tmp_path / "images.json").write_text("[1]")
    with pytest.raises(InputError, match="hashes of the images"):
        run.roles()


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x04pickle"])
def test_damaged_weights_are_refused(content: bytes, tmp_path: Path) -> None:
    run = begun(tmp_path)
    run.weights.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        run.trained()


def test_an_edge_is_a_multiple_of_sixteen() -> None:
    with pytest.raises(ValidationError):
        RunSettings(kind="none", llm="", layer=None, edge_px=40)


def test_rows_are_written_as_csv(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv", [{"a": 1, "b": "x, y"}, {"a": None, "b": "ä"}])
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == [{"a": "1", "b": "x, y"}, {"a": "", "b": "ä"}]
