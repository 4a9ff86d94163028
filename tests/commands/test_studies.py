"""`zeus studies` shows what Zeus reads in a folder, and changes nothing."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.studies.tiny_files import dicom_series, nifti
from zeus_app.commands.main import app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "studies"
    for name in ("p1", "p2"):
        nifti(root / name / "FLAIR.nii.gz")
        nifti(root / name / "[x]T2.nii.gz")
    (root / "p3").mkdir()
    return root


def listed(*arguments: object) -> Result:
    words = ["studies", *map(str, arguments), "--target", "brain_tumour"]
    return CliRunner().invoke(app, words, env={"COLUMNS": "200"})


def tree(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_each_sequence_has_a_row_and_each_problem_too(folder: Path) -> None:
    result = listed(folder)
    assert result.exit_code == 0
    rows = [line.split() for line in result.output.splitlines() if "p1/FLAIR.nii.gz" in line]
    assert [word for word in rows[0] if word != "│"][:4] == [
        "p1", "patient-1", "FLAIR", "p1/FLAIR.nii.gz",
    ]  # fmt: skip
    assert "p2/[x]T2.nii.gz" in result.output
    assert "is an empty folder" in result.output
    assert "2 studies of 2 patients" in result.output
    assert "1 problems" in result.output


def test_json_is_that_of_the_route(folder: Path) -> None:
    result = listed(folder, "--json")
    assert result.exit_code == 0
    printed = json.loads(result.output)
    assert set(printed) == {"studies", "problems"}
    assert printed["studies"]["p1"]["sequences"] == {
        "FLAIR": [f"{folder}/p1/FLAIR.nii.gz"], "T2": [f"{folder}/p1/[x]T2.nii.gz"],
    }  # fmt: skip
    assert [problem["study"] for problem in printed["problems"]] == ["p3"]


def test_a_study_with_a_label_in_the_state_folder_is_labelled(folder: Path, tmp_path: Path) -> None:
    label = tmp_path / "state" / "brain_tumour" / "labels" / "final" / "p2"
    nifti(label / "v0001.nii.gz")
    (label / "v0001.json").write_text("{}")
    printed = json.loads(listed(folder, "--json", "--state", tmp_path / "state").output)
    assert {name: study["labelled"] for name, study in printed["studies"].items()} == {
        "p1": False, "p2": True,
    }  # fmt: skip


def test_nothing_is_written(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    before = tree(tmp_path)
    assert listed(folder).exit_code == 0
    assert tree(tmp_path) == before


def test_no_patient_id_is_printed(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b")):
        dicom_series(tmp_path / name, "T2", study_uid=f"1.{number}", PatientID="P0815",
                     PatientName="Roe^Anna")  # fmt: skip
    for arguments in ((tmp_path,), (tmp_path, "--json")):
        output = listed(*arguments).output
        assert "patient-1" in output
        assert "patient-2" not in output
        assert "P0815" not in output
        assert "Roe" not in output


def test_a_state_folder_among_the_studies_is_left_out(folder: Path) -> None:
    nifti(folder / "state" / "brain_tumour" / "uploads" / "x_T2.nii.gz")
    assert "uploads" not in listed(folder, "--state", folder / "state").output


@pytest.mark.parametrize("target", ["brain_tumour", "prostrate"])
def test_a_wrong_folder_or_target_is_bad_input(tmp_path: Path, target: str) -> None:
    words = ["studies", str(tmp_path / "none"), "--target", target]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
