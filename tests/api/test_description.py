"""What a mask is made of, so that it is made again when something of it changes."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.studies.tiny_files import nifti
from zeus_app.api.description import Choices, fingerprint
from zeus_app.settings.config import ZeusConfig
from zeus_app.studies.find import find_studies
from zeus_app.targets import load_target
from zeus_app.training.checkpoint import CheckpointInfo
from zeus_app.types import StudyFiles

PHANTOM = load_target("phantom")


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
