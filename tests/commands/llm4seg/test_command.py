"""`zeus llm4seg` on the command line: train, segment, evaluate."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tests.images2d.painted import square_mask, write, write_pairs
from zeus_app.commands.main import app


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["llm4seg", *map(str, words)], env={"COLUMNS": "200"})


def train(folder: Path, *options: object) -> Result:
    quick = ["--llm", "none", "--epochs", 1, "--batch", 2, "--size", 32, "--device", "cpu"]
    data = [folder / "images", "--masks", folder / "masks", "--out", folder / "run"]
    return run("train", *data, *quick, *options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_pairs(tmp_path_factory.mktemp("2d"))
    result = train(folder)
    assert result.exit_code == 0, result.output
    assert "no LLM layer; 2 steps" in result.output
    return folder


def test_a_run_has_settings_split_weights_and_course(trained: Path) -> None:
    names = {path.name for path in (trained / "run").iterdir()}
    assert names == {
        "run.json", "split.json", "images.json", "weights.safetensors", "course.csv",
    }  # fmt: skip
    split = json.loads((trained / "run" / "split.json").read_text())
    assert (len(split["train"]), len(split["validation"])) == (5, 1)


def test_masks_are_written_for_each_image(trained: Path, tmp_path: Path) -> None:
    result = run("segment", trained / "images", "--run", trained / "run", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "6 masks written, 0 images failed" in result.output
    masks = [np.asarray(Image.open(path)) for path in sorted(tmp_path.iterdir())]
    assert [mask.shape for mask in masks] == [(32, 40)] * 6


def test_a_damaged_image_is_listed_and_the_exit_code_says_so(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"broken")
    result = run("segment", tmp_path / "in", "--run", trained / "run", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "cannot be read" in result.output


def test_scores_tell_images_of_the_training_apart(trained: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.csv"
    result = run(
        "evaluate", trained / "images", "--masks", trained / "masks", "--run", trained / "run",
        "--out", scores,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "mIoU with background" in result.output
    with scores.open(newline="") as file:
        roles = [row["role"] for row in csv.DictReader(file)]
    assert sorted(roles) == ["chose the weights", *["trained on"] * 5]


def test_a_second_run_replaces_none(trained: Path) -> None:
    result = train(trained)
    assert result.exit_code == 2
    assert "holds a run already" in result.output


def test_a_random_layer_of_another_llm_is_trained_around(tmp_path: Path) -> None:
    write_pairs(tmp_path, 3)
    result = train(tmp_path, "--llm", "random:qwen2.5-0.5b-instruct", "--layer", 2)
    assert result.exit_code == 0, result.output
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (settings["kind"], settings["layer"]) == ("random", 2)


def test_named_classes_are_trained_and_written(tmp_path: Path) -> None:
    for number in range(3):
        mask = square_mask(85)
        mask[20:28, 20:30] = 170
        write(tmp_path / "images" / f"{number}.png", mask)
        write(tmp_path / "masks" / f"{number}.png", mask)
    refused = train(tmp_path)
    assert refused.exit_code == 2
    assert "--classes 85,170" in refused.output
    assert train(tmp_path, "--classes", "85,170").exit_code == 0
    out = tmp_path / "out"
    run("segment", tmp_path / "images" / "0.png", "--run", tmp_path / "run", "--out", out)
    assert set(np.unique(np.asarray(Image.open(out / "0.png")))) <= {0, 85, 170}


def test_images_without_a_mask_are_refused_or_left_out(tmp_path: Path) -> None:
    write_pairs(tmp_path, 3)
    (tmp_path / "masks" / "case1_mask.png").unlink()
    refused = train(tmp_path)
    assert refused.exit_code == 2
    assert "1 image has no mask" in refused.output
    accepted = train(tmp_path, "--skip-bad")
    assert accepted.exit_code == 0, accepted.output
    assert "no mask has its name" in accepted.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", 40], "a multiple of 16"),
        (["--classes", "0,1"], "from 1 to 255"),
        (["--layer", 3], "--llm none with --layer"),
        (["--llm", "random", "--layer", 30], "layer 30 of llama"),
        (["--llm", "no-such-llm"], "unknown weight 'no-such-llm'"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: list[object], message: str, tmp_path: Path
) -> None:
    result = train(write_pairs(tmp_path, 2), *options)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "run").exists()
