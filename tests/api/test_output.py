"""The files of one study: what counts as done, and what makes it be done again."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.studies.tiny_files import nifti
from zeus_app.api.output import Choices, StudyOutput, check_extension, fingerprint, save_mask
from zeus_app.errors import InputError
from zeus_app.labels.files import read_label
from zeus_app.settings.config import ZeusConfig
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target
from zeus_app.training.checkpoint import CheckpointInfo
from zeus_app.types import StudyFiles, Volume

PHANTOM = load_target("phantom")
MASK = Volume(np.ones((2, 3, 4), np.uint8), np.eye(4))


@pytest.fixture
def files(tmp_path: Path) -> StudyFiles:
    nifti(tmp_path / "studies" / "p1" / "t2.nii.gz")
    return find_studies(tmp_path / "studies", PHANTOM).studies["p1"]


def version(created: str) -> CheckpointInfo:
    return CheckpointInfo("v0001", created, 1, None, (), (), {})


def print_of(files: StudyFiles, **changed: Any) -> str:
    config = ZeusConfig(**{"target": "phantom", **changed.get("config", {})})
    return fingerprint(
        files,
        config,
        changed.get("target", PHANTOM),
        checkpoint=changed.get("checkpoint", version("monday")),
        choices=changed.get("choices", Choices()),
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"config": {"threshold": 0.4}},
        {"config": {"union": "max"}},
        {"config": {"profile": "paper"}},
        {"target": PHANTOM.only(("T2",))},
        {"checkpoint": version("tuesday")},
        {"checkpoint": None},
        {"choices": Choices(sequence="FLAIR")},
        {"choices": Choices(sequences=("T2",))},
        {"choices": Choices(texts={"T2": "bright"})},
        {"choices": Choices(extension=".nrrd")},
    ],
)
def test_what_changes_a_mask_changes_the_fingerprint(
    changed: dict[str, Any], files: StudyFiles
) -> None:
    assert print_of(files, **changed) != print_of(files) == print_of(files)


def test_what_changes_no_mask_does_not(files: StudyFiles, tmp_path: Path) -> None:
    for config in ({"cache_gib": 3}, {"state": tmp_path}, {"encoder_batch": 2}, {"waiting": 2}):
        assert print_of(files, config=config) == print_of(files)


def test_an_image_counts_by_its_size_and_time(files: StudyFiles) -> None:
    before = print_of(files)
    (path,) = files.sources["T2"].files
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert print_of(files) != before


def test_all_three_files_must_be_there(tmp_path: Path) -> None:
    output = StudyOutput(tmp_path, "p1", ".nii.gz")
    assert not output.is_done("abc")
    output.write(MASK, b"png", {"fingerprint": "abc"}, names={})
    assert output.is_done("abc")
    assert not output.is_done("abd")
    assert json.loads(output.description.read_text()) == {
        "mask": "p1.nii.gz", "preview": "p1.png", "fingerprint": "abc"
    }  # fmt: skip
    output.preview.unlink()
    assert not output.is_done("abc")


@pytest.mark.parametrize("named", ["../outside.nii.gz", "other.nii.gz", "p1.txt", 3])
def test_a_json_can_name_no_other_file_to_be_removed(named: object, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    others = [tmp_path / "outside.nii.gz", folder / "other.nii.gz", folder / "p1.txt"]
    for path in others:
        path.write_bytes(b"kept")
    output = StudyOutput(folder, "p1", ".nii.gz")
    output.description.write_text(json.dumps({"mask": named}))
    output.write(MASK, b"png", {}, names={})
    assert all(path.is_file() for path in others)


@pytest.mark.parametrize("content", ["[]", "null", "{", "3"])
def test_a_foreign_json_is_replaced(content: str, tmp_path: Path) -> None:
    output = StudyOutput(tmp_path, "p1", ".nii.gz")
    output.description.write_text(content)
    assert not output.is_done("abc")
    output.write(MASK, b"png", {"fingerprint": "abc"}, names={})
    assert output.is_done("abc")


@pytest.mark.parametrize(
    ("name", "ending"),
    [("nifti", ".nii.gz"), ("NRRD", ".nrrd"), (".seg.nrrd", ".seg.nrrd"), ("nii", ".nii")],
)
def test_a_format_has_an_ending(name: str, ending: str) -> None:
    assert check_extension(name) == ending


def test_a_mask_is_saved_in_a_known_format_alone(tmp_path: Path) -> None:
    save_mask(MASK, tmp_path / "new" / "mask.nrrd")
    np.testing.assert_array_equal(read_label(tmp_path / "new" / "mask.nrrd").array, MASK.array)
    with pytest.raises(InputError, match="png"):
        save_mask(MASK, tmp_path / "mask.png")
    assert not (tmp_path / "mask.png").exists()
