"""`zeus evaluate` compares masks with the truth, prints tables and writes files."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.studies.tiny_files import nifti
from zeus_app.commands.main import app


def label_map(path: Path, start: int, affine: object = None) -> Path:
    """A lesion of 2×2×2 voxels that begins at a voxel."""
    array = np.zeros((8, 8, 6), np.uint8)
    array[start : start + 2, 2:4, 2:4] = 1
    return nifti(path, array, np.diag([1.0, 1.0, 3.0, 1.0]) if affine is None else affine)  # type: ignore[arg-type]


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Masks in folders of their studies, and the truth: p1 right, p2 half, p3 without truth."""
    for study, found, true in (("p1", 2, 2), ("p2", 3, 2)):
        label_map(tmp_path / "masks" / study / "mask.nii.gz", found)
        label_map(tmp_path / "truth" / f"{study}.nii.gz", true)
    label_map(tmp_path / "masks" / "p3" / "mask.nii.gz", 1)
    return tmp_path


def evaluated(folder: Path, *options: object) -> Result:
    words = ["evaluate", str(folder / "masks"), "--truth", str(folder / "truth")]
    return CliRunner().invoke(app, [*words, *map(str, options)], env={"COLUMNS": "200"})


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tables_are_printed_and_files_are_written(folders: Path) -> None:
    out = folders / "out"
    result = evaluated(folders, "--target", "phantom", "-o", out)
    assert result.exit_code == 0, result.output
    scores = {(row["case"], row["label"]): row for row in rows(out / "scores.csv")}
    assert scores["p1", "lesion"]["dsc"] == "1"
    assert scores["p2", "lesion"]["dsc"] == "0.5"
    assert scores["p2", "lesion"]["hd95_mm"] == "1"
    assert scores["p2", "cyst"]["dsc"] == "1"
    assert sorted(path.name for path in out.iterdir()) == [
        "scores.csv", "scores.png", "summary.csv",
    ]  # fmt: skip
    assert "0.750 ± 0.354" in result.output
    assert "p3/mask.nii.gz" in result.output
    assert "no partner" in result.output
    assert "2 cases compared" in result.output


def test_the_results_lie_beside_the_masks_unless_told_otherwise(folders: Path) -> None:
    assert evaluated(folders, "--json").exit_code == 0
    out = folders / "masks-evaluation"
    content = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    assert [row["case"] for row in content["cases"]] == ["p1", "p2"]


def test_earlier_results_stay_unless_forced(folders: Path) -> None:
    assert evaluated(folders).exit_code == 0
    before = (folders / "masks-evaluation" / "scores.csv").read_bytes()
    label_map(folders / "masks" / "p1" / "mask.nii.gz", 5)
    result = evaluated(folders)
    assert result.exit_code == 2
    assert "--force" in result.output
    assert (folders / "masks-evaluation" / "scores.csv").read_bytes() == before
    assert evaluated(folders, "--force").exit_code == 0
    assert (folders / "masks-evaluation" / "scores.csv").read_bytes() != before


def test_a_resampled_mask_is_told(folders: Path) -> None:
    array = np.zeros((16, 16, 6), np.uint8)
    array[4:8, 4:8, 2:4] = 1
    nifti(folders / "masks" / "p1" / "mask.nii.gz", array, np.diag([0.5, 0.5, 3.0, 1.0]))
    result = evaluated(folders)
    assert result.exit_code == 0
    assert "resampled by the nearest voxel" in result.output


def test_if_nothing_can_be_compared_nothing_is_written_and_the_exit_code_is_1(
    folders: Path,
) -> None:
    moved = np.diag([1.0, 1.0, 3.0, 1.0])
    moved[0, 3] = 500
    for study in ("p1", "p2"):
        label_map(folders / "masks" / study / "mask.nii.gz", 2, moved)
    result = evaluated(folders)
    assert result.exit_code == 1
    assert "lies in another place" in " ".join(result.output.split())
    assert not (folders / "masks-evaluation").exists()


def test_label_maps_without_any_label_give_no_scores(tmp_path: Path) -> None:
    for side in ("masks", "truth"):
        nifti(tmp_path / side / "p1.nii.gz", np.zeros((4, 4, 3), np.uint8))
    result = evaluated(tmp_path)
    assert result.exit_code == 1
    assert "--target" in result.output
    assert evaluated(tmp_path, "--target", "phantom").exit_code == 0


@pytest.mark.parametrize(
    "options", [("--target", "prostrate"), ("--convention", "msd"), ("--truth", "nowhere")], ids=str
)
def test_a_wrong_option_is_bad_input(folders: Path, options: tuple[str, ...]) -> None:
    result = evaluated(folders, *options)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_the_worst_cases_are_printed_first(folders: Path) -> None:
    lines = evaluated(folders).output.splitlines()
    listed = [line for line in lines if line.startswith("│ p1") or line.startswith("│ p2")]
    assert [line.split()[1] for line in listed] == ["p2", "p1"]
