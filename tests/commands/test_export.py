"""`zeus export` writes the studies of a folder, with the labels of its state folder."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.studies.tiny_files import nifti, ramp
from zeus_app.commands.main import app
from zeus_app.labels.versions import LabelHistory
from zeus_app.types import Volume


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The studies p1 and p2 with labels, p3 without, and p4 without FLAIR."""
    history = LabelHistory(tmp_path / "state" / "phantom" / "labels")
    for name in ("p1", "p2", "p3", "p4"):
        for sequence in ("T2",) if name == "p4" else ("T2", "FLAIR"):
            nifti(tmp_path / "studies" / name / f"{sequence}.nii.gz", ramp(8, 8, 6))
    for name, value in (("p1", 1), ("p2", 2)):
        array = np.zeros((8, 8, 6), np.uint8)
        array[1:3] = value
        history.save(name, "final", Volume(array, np.eye(4)), {})
    history.save("p3", "draft", Volume(np.ones((8, 8, 6), np.uint8), np.eye(4)), {})
    return tmp_path


def export(folder: Path, *options: object) -> Result:
    words = ["export", str(folder / "studies"), "--target", "phantom", "-o", str(folder / "raw"),
             "--state", str(folder / "state"), *map(str, options)]  # fmt: skip
    return CliRunner().invoke(app, words, env={"COLUMNS": "200"})


def test_labelled_studies_become_training_cases(folder: Path) -> None:
    result = export(folder, "--format", "nnunet")
    assert result.exit_code == 0, result.output
    dataset = folder / "raw" / "Dataset501_phantom"
    assert sorted(path.name for path in (dataset / "labelsTr").iterdir()) == [
        "p1.nii.gz", "p2.nii.gz",
    ]  # fmt: skip
    assert len(list((dataset / "imagesTs").iterdir())) == 2
    found = nibabel.load(dataset / "labelsTr" / "p2.nii.gz")
    assert np.unique(found.dataobj).tolist() == [0, 2]
    assert "2 training cases of 2 patients, 1 test cases, 1 studies left out" in result.output
    assert "it lacks FLAIR" in result.output
    assert "splits_final.json" in result.output


def test_zeus_finds_the_same_studies_in_the_exported_folder(folder: Path) -> None:
    assert export(folder).exit_code == 0
    words = ["studies", str(folder / "raw" / "Dataset501_phantom"), "--target", "phantom", "--json"]
    listing = json.loads(CliRunner().invoke(app, words).output)
    assert listing["problems"] == []
    assert {name: sorted(study["sequences"]) for name, study in listing["studies"].items()} == {
        name: ["FLAIR", "T2"] for name in ("p1", "p2", "p3")
    }


def test_labels_of_another_tag_and_number_may_be_chosen(folder: Path) -> None:
    result = export(folder, "--labels", "draft", "--dataset-id", 7, "--sequences", "FLAIR")
    assert result.exit_code == 0, result.output
    dataset = folder / "raw" / "Dataset007_phantom"
    assert [path.name for path in (dataset / "labelsTr").iterdir()] == ["p3.nii.gz"]
    description = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))
    assert description["channel_names"] == {"0": "FLAIR"}


def test_the_newest_version_of_a_label_counts_and_a_removed_one_does_not(folder: Path) -> None:
    history = LabelHistory(folder / "state" / "phantom" / "labels")
    history.save("p1", "final", Volume(np.full((8, 8, 6), 2, np.uint8), np.eye(4)), {})
    history.remove("p2", "final")
    assert export(folder).exit_code == 0
    labels = folder / "raw" / "Dataset501_phantom" / "labelsTr"
    assert [path.name for path in labels.iterdir()] == ["p1.nii.gz"]
    assert (np.asarray(nibabel.load(labels / "p1.nii.gz").dataobj) == 2).all()


def test_a_tag_without_labels_names_the_tags_that_have_some(folder: Path) -> None:
    result = export(folder, "--labels", "mine")
    assert result.exit_code == 2
    assert "draft, final" in " ".join(result.output.split())
    assert not (folder / "raw").exists()


def test_a_second_export_changes_nothing(folder: Path) -> None:
    assert export(folder).exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in (folder / "raw").rglob("*")}
    result = export(folder)
    assert result.exit_code == 2
    assert "not empty" in result.output
    assert {path: path.stat().st_mtime_ns for path in (folder / "raw").rglob("*")} == before


def test_an_export_into_the_studies_folder_is_refused(folder: Path) -> None:
    result = export(folder, "-o", folder / "studies" / "p1" / "nnunet")
    assert result.exit_code == 2
    assert "among the studies" in result.output
    assert not (folder / "studies" / "p1" / "nnunet").exists()


def test_other_formats_are_unknown(folder: Path) -> None:
    assert export(folder, "--format", "bids").exit_code == 2


def test_changed_values_are_told(folder: Path) -> None:
    target = folder / "target.yaml"
    target.write_text(
        "extends: phantom\nname: phantom\nlabels:\n  - {name: lesion, value: 1}\n"
        "  - {name: cyst, value: 9}\n",
        encoding="utf-8",
    )
    history = LabelHistory(folder / "state" / "phantom" / "labels")
    history.save("p2", "final", Volume(np.full((8, 8, 6), 9, np.uint8), np.eye(4)), {})
    result = export(folder, "--target", target)
    assert result.exit_code == 0, result.output
    assert "cyst is 2 there, 9 in Zeus" in result.output
