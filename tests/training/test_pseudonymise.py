"""Splits and checkpoints of version 0.2.0 get pseudonyms; sides, types and weights stay."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from zeus_app.storage.pseudonyms import Pseudonyms
from zeus_app.training.checkpoint import Checkpoints
from zeus_app.training.checkpoint_files import CheckpointInfo
from zeus_app.training.pseudonymise import pseudonymise_trainings

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
    pseudonymise_trainings(root, PSEUDONYMS.of, NEW_IDS)


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


def test_a_patient_who_stands_there_twice_stays_held_back(tmp_path: Path) -> None:
    for sides in ({"bob": "validation", BOB: "train"}, {BOB: "train", "bob": "validation"}):
        path = write(tmp_path / "prostate" / "splits.json", sides)
        migrate(tmp_path)
        assert json.loads(path.read_text()) == {BOB: "validation"}


@pytest.mark.parametrize("folder", ["checkpoints", "checkpoints/projection"])
def test_a_version_names_no_patient_any_more(tmp_path: Path, folder: str) -> None:
    path = write(tmp_path / "prostate" / "small-zeus-hybrid" / folder / "v0001.json", INFO)
    migrate(tmp_path)
    assert json.loads(path.read_text()) == RENEWED


def test_a_short_former_id_changes_no_number_of_a_note(tmp_path: Path) -> None:
    note = "learnt after 1234: 12345 steps; DSC 0.1234 before, 1234.5 after, v-1234, 1 patient"
    path = write(tmp_path / "t" / "m" / "checkpoints" / "v0001.json", {**INFO, "note": note})
    pseudonymise_trainings(tmp_path, PSEUDONYMS.of, {"1234": "study-a", "1": "study-b"})
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
