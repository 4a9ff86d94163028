"""`zeus data` on small archives."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.datasets import archives
from zeus_app.commands.main import INPUT_ERROR_EXIT_CODE, app


@pytest.fixture
def brain(tmp_path: Path) -> Path:
    return archives.msd_brain(tmp_path)


def data(*words: object) -> Result:
    return CliRunner().invoke(app, ["data", *map(str, words)], env={"COLUMNS": "200"})


def test_a_sound_dataset_exits_with_0(brain: Path) -> None:
    result = data("verify", brain)
    assert result.exit_code == 0
    assert "msd, 3 cases (1 test, 2 train) of 3 patients, 2 with truth, 4 files" in result.output


def test_a_problem_exits_with_1_and_is_shown(brain: Path) -> None:
    (brain / "labelsTr" / "BRATS_002.nii.gz").unlink()
    result = data("verify", brain)
    assert result.exit_code == 1
    assert "no truth" in result.output


def test_json_has_everything(brain: Path) -> None:
    result = data("verify", brain, "--json", "--quick", "--target", "brain_tumour_parts")
    said = json.loads(result.stdout)
    assert said["ok"] is True
    assert said["convention"] == "msd"
    assert [(one["value"], one["label"]) for one in said["labels"]] == [
        (1, "oedema"), (2, "necrotic core"), (3, "enhancing tumour"),
    ]  # fmt: skip
    assert len(said["ignored"]) == 4


def test_an_unknown_folder_is_bad_input(tmp_path: Path) -> None:
    assert data("verify", tmp_path).exit_code == INPUT_ERROR_EXIT_CODE


def test_the_same_split_twice_gives_the_same_file(brain: Path, tmp_path: Path) -> None:
    contents = []
    for name in ("a.json", "b.json"):
        result = data("split", brain, "-o", tmp_path / name, "--fractions", "0.5,0,0.5")
        assert result.exit_code == 0
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


def test_a_part_of_a_split_becomes_studies(brain: Path, tmp_path: Path) -> None:
    data("split", brain, "-o", tmp_path / "split.json", "--folds", 2)
    fold = json.loads((tmp_path / "split.json").read_text())["folds"][1]
    result = data(
        "link", brain, "-o", tmp_path / "studies",
        "--split", tmp_path / "split.json", "--fold", 1, "--part", "test",
    )  # fmt: skip
    assert result.exit_code == 0
    entries = json.loads((tmp_path / "studies" / "cases.json").read_text())
    assert [entry["id"] for entry in entries] == fold["test"]


def test_the_printed_command_imports_the_masks(tmp_path: Path) -> None:
    archives.chaos(tmp_path / "data")
    linked = data("link", tmp_path / "data", "-o", tmp_path / "studies")
    command = linked.output.rpartition("next: zeus ")[2].split()
    result = CliRunner().invoke(app, [*command, "--state", str(tmp_path / "state")])
    assert result.exit_code == 0
    assert "1 label imported" in result.output


@pytest.mark.parametrize(
    "options",
    [("--folds", 2, "--fractions", "0.5,0,0.5"), ("--fractions", "a,b"), ("--official",)],
)
def test_options_that_make_no_split_are_refused(
    brain: Path, tmp_path: Path, options: tuple[object, ...]
) -> None:
    result = data("split", brain, "-o", tmp_path / "split.json", *options)
    assert result.exit_code == INPUT_ERROR_EXIT_CODE
    assert not (tmp_path / "split.json").exists()


def test_an_unknown_part_is_refused(brain: Path, tmp_path: Path) -> None:
    data("split", brain, "-o", tmp_path / "split.json", "--folds", 2)
    result = data("link", brain, "-o", tmp_path / "s", "--split", tmp_path / "split.json",
                  "--part", "validation")  # fmt: skip
    assert result.exit_code == INPUT_ERROR_EXIT_CODE


def test_a_linked_dataset_is_trained_on_segmented_and_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEUS_PLUGINS", "tests.server.fakes.fake_model")
    archives.chaos(tmp_path / "data")
    data("link", tmp_path / "data", "-o", tmp_path / "studies")
    studies, out = str(tmp_path / "studies"), str(tmp_path / "out")
    common = ["--target", "abdomen", "--state", str(tmp_path / "state")]
    truth = f"{studies}/labels"
    for words in (
        ["train", studies, "--labels", studies, *common],
        ["segment", studies, "-o", out, *common],
        ["evaluate", out, "--truth", truth, "--target", "abdomen"],
    ):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
    assert "1 cases compared, 0 files or cases left out" in result.output
