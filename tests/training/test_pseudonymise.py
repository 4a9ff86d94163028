"""Splits and checkpoints of version 0.2.0 get pseudonyms; sides, types and weights stay."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from zeus_app.storage.pseudonyms import Pseudonyms
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.training.checkpoint_files import CheckpointInfo
from zeus_app.training.pseudonymise import NewNames, rename_trainings

PSEUDONYMS = Pseudonyms(bytes(32))
ANNA, BOB = PSEUDONYMS.of("ANNA 1"), PSEUDONYMS.of("bob")
NEW_IDS = {"ANNA_1": "study-a"}
INFO: dict[str, Any] = {
    **asdict(CheckpointInfo("v0001", "2025-11-01", 3, 0.5, ("ANNA_1", "bob"), ("ANNA_1",), {})),
    "patients": ["ANNA 1", "bob"],
    "studies": ["ANNA_1", "bob"],
    "validation": ["ANNA_1"],
    "left_out": {"ANNA_1": "ANNA_1: no label", "ANNA_12": "ANNA_12 is not ANNA_1"},
    "note": "learnt after ANNA_1: 3 steps",
    "settings": {"exclude": "bob, ANNA_1", "epochs": 3},
    "epochs": [],
}
RENEWED = {
    **INFO,
    "patients": sorted([ANNA, BOB]),
    "studies": ["study-a", "bob"],
    "validation": ["study-a"],
    "left_out": {"study-a": "study-a: no label", "ANNA_12": "ANNA_12 is not study-a"},
    "note": "learnt after study-a: 3 steps",
    "settings": {"exclude": "bob,study-a", "epochs": 3},
}


def migrate(root: Path) -> None:
    rename(root, NEW_IDS)


def rename(root: Path, studies: Mapping[str, str], **patients: tuple[str, ...]) -> None:
    names = NewNames(
        lambda patient: patients.get(patient, (PSEUDONYMS.of(patient),)),
        lambda study: studies.get(study, study).split(),
    )
    for target in root.iterdir():
        rename_trainings(target, names)


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def files(root: Path) -> dict[Path, tuple[bytes, int]]:
    """Every file but the lock, with its bytes and inode: a written file has another inode."""
    return {
        path: (path.read_bytes(), path.stat().st_ino)
        for path in root.rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    }


def test_every_patient_keeps_its_side(tmp_path: Path) -> None:
    path = write(tmp_path / "prostate" / "splits.json", {"ANNA 1": "validation", "bob": "train"})
    migrate(tmp_path)
    assert json.loads(path.read_text()) == {ANNA: "validation", BOB: "train"}


def test_a_patient_on_both_sides_validates_nothing_any_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for sides in ({"bob": "validation", BOB: "train"}, {BOB: "train", "bob": "validation"}):
        path = write(tmp_path / "prostate" / "splits.json", sides)
        caplog.clear()
        migrate(tmp_path)
        assert json.loads(path.read_text()) == {BOB: "train"}
        assert "1 patients of target prostate were on both sides" in caplog.text
        assert "bob" not in caplog.text


def test_two_patients_that_became_one_keep_the_side_on_which_both_were(tmp_path: Path) -> None:
    path = write(
        tmp_path / "prostate" / "splits.json", {"T1_a": "validation", "T2_a": "validation"}
    )
    rename(tmp_path, {}, T1_a=(ANNA,), T2_a=(ANNA,))
    assert json.loads(path.read_text()) == {ANNA: "validation"}


def test_a_patient_that_became_several_gives_its_side_to_all(tmp_path: Path) -> None:
    path = write(tmp_path / "prostate" / "splits.json", {"site": "train", BOB: "validation"})
    rename(tmp_path, {}, site=(ANNA, BOB))
    assert json.loads(path.read_text()) == {ANNA: "train", BOB: "train"}


def test_several_studies_that_became_one_are_named_once(tmp_path: Path) -> None:
    info = {
        **INFO,
        "studies": ["x_T1", "bob", "x_T2"],
        "validation": ["x_T2", "x_T1"],
        "left_out": {"x_T1": "x_T1: no label", "x_T2": "x_T2: too small"},
        "note": "x_T2.nii.gz was damaged. Without x_T1.",
        "settings": {"exclude": "x_T1, x_T2"},
    }
    path = write(tmp_path / "t" / "m" / "checkpoints" / "v0001.json", info)
    rename(tmp_path, {"x_T1": "x", "x_T2": "x"})
    renewed = json.loads(path.read_text())
    assert renewed["studies"] == ["x", "bob"]
    assert renewed["validation"] == ["x"]
    assert renewed["left_out"] == {"x": "x: no label; x: too small"}
    assert renewed["note"] == "x.nii.gz was damaged. Without x."
    assert renewed["settings"] == {"exclude": "x"}


def test_of_a_study_that_one_of_two_was_both_are_named(tmp_path: Path) -> None:
    info = {**INFO, "studies": ["old"], "note": "with old and muller", "left_out": {}}
    path = write(tmp_path / "t" / "m" / "checkpoints" / "v0001.json", info)
    rename(tmp_path, {"old": "b a", "muller": "muller muller-1"})
    renewed = json.loads(path.read_text())
    assert renewed["studies"] == ["a", "b"]
    assert renewed["note"] == "with a, b and muller"


@pytest.mark.parametrize("folder", ["checkpoints", "checkpoints/projection"])
def test_a_version_names_no_patient_any_more(tmp_path: Path, folder: str) -> None:
    path = write(tmp_path / "prostate" / "small-zeus-hybrid" / folder / "v0001.json", INFO)
    migrate(tmp_path)
    assert json.loads(path.read_text()) == RENEWED


def test_a_short_former_id_changes_no_number_of_a_note(tmp_path: Path) -> None:
    note = "learnt after 1234: 12345 steps; DSC 0.1234 before, 1234.5 after, v-1234, 1 patient"
    path = write(tmp_path / "t" / "m" / "checkpoints" / "v0001.json", {**INFO, "note": note})
    rename(tmp_path, {"1234": "study-a", "1": "study-b"})
    renewed = note.replace("after 1234:", "after study-a:")
    assert json.loads(path.read_text())["note"] == renewed


def resumable(info: dict[str, Any]) -> dict[str, Any]:
    return {"identity": "x", "info": info, "model": {"w": torch.ones(2)}, "optimizer": {},
            "seconds": 1.0, "epochs": [], "run": {}}  # fmt: skip


def test_an_interrupted_training_keeps_its_weights_and_loses_the_names(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "t" / "m" / "checkpoints")
    as_tuples = {**INFO, "patients": ("ANNA 1", "bob"), "studies": ("ANNA_1", "bob")}
    checkpoints.save(checkpoints.resume_path, resumable(as_tuples))
    migrate(tmp_path)
    saved = checkpoints.interrupted()
    assert saved is not None
    assert saved["info"]["patients"] == tuple(sorted([ANNA, BOB]))
    assert saved["info"]["studies"] == ("study-a", "bob")
    assert saved["model"]["w"].tolist() == [1, 1]
    assert b"ANNA 1" not in checkpoints.resume_path.read_bytes()


def test_a_resume_file_that_a_training_writes_is_left_to_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path / "t" / "m" / "checkpoints")
    checkpoints.save(checkpoints.resume_path, resumable(INFO))
    with checkpoints.lock.hold("training"):
        migrate(tmp_path)
    assert b"ANNA 1" in checkpoints.resume_path.read_bytes()
    assert "the next start takes names out of it" in caplog.text
    migrate(tmp_path)
    assert b"ANNA 1" not in checkpoints.resume_path.read_bytes()


def test_a_second_migration_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "t" / "splits.json", {"ANNA 1": "validation", "bob": "train"})
    write(tmp_path / "t" / "m" / "checkpoints" / "v0001.json", INFO)
    checkpoints = Checkpoints(tmp_path / "t" / "m" / "checkpoints")
    checkpoints.save(checkpoints.resume_path, resumable(INFO))
    migrate(tmp_path)
    before = files(tmp_path)
    migrate(tmp_path)
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "5", '{"patients": 5}', '{"patients": [5]}', '{"settings": [1]}',
             "[" * 100_000],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_damaged_and_foreign_files_stay_as_they_are(tmp_path: Path, text: str) -> None:
    for name in ("t/splits.json", "t/m/checkpoints/v0001.json", "t/m/checkpoints/running.pt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    before = files(tmp_path)
    migrate(tmp_path)
    if text.startswith('{"'):  # to a split, these are patients with odd sides
        before.pop(tmp_path / "t" / "splits.json")
    assert before.items() <= files(tmp_path).items()
