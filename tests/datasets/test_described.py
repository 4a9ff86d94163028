"""dataset.json that disagrees with the files beside it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.datasets import archives
from zeus_app.datasets.described import check_description
from zeus_app.datasets.kinds import open_dataset


def told(folder: Path) -> list[str]:
    return [problem.text for problem in check_description(open_dataset(folder))]


def change(folder: Path, **content: Any) -> None:
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | content))


@pytest.fixture
def brain(tmp_path: Path) -> Path:
    return archives.msd_brain(tmp_path)


def test_an_archive_that_agrees_has_no_problem(brain: Path) -> None:
    assert told(brain) == []


def test_another_number_of_training_cases_is_told(brain: Path) -> None:
    change(brain, numTraining=484)
    assert told(brain) == ["dataset.json: numTraining is 484, and imagesTr has 2 cases"]


def test_images_that_are_missing_or_not_listed_are_told(brain: Path) -> None:
    change(brain, training=[{"image": f"./imagesTr/BRATS_00{n}.nii.gz"} for n in (1, 3)])
    assert told(brain) == [
        "dataset.json: 1 images of imagesTr are missing: BRATS_003.nii.gz",
        "dataset.json: 1 images of imagesTr are not listed: BRATS_002.nii.gz",
    ]


def test_a_version_1_of_nnunet_lists_cases_without_numbers(tmp_path: Path) -> None:
    folder = archives.nnunet(tmp_path)
    change(folder, training=[{"image": f"./imagesTr/{name}.nii.gz"} for name in ("p1", "p2")])
    assert told(folder) == []


def test_files_of_another_ending_are_told(tmp_path: Path) -> None:
    folder = archives.nnunet(tmp_path)
    change(folder, file_ending=".nrrd")
    (text,) = told(folder)
    assert "file_ending is .nrrd" in text


def test_a_channel_of_no_sequence_is_told(brain: Path) -> None:
    change(brain, modality={**archives.BRAIN_CHANNELS, "4": "PD"})
    problems = check_description(open_dataset(brain, "brain_tumour"))
    expected = "dataset.json: channel 4, PD, is no sequence of the target brain_tumour"
    assert expected in [problem.text for problem in problems]


def test_a_mask_without_image_is_told(brain: Path) -> None:
    archives.save(brain / "labelsTr" / "BRATS_009.nii.gz", archives.marks())
    assert told(brain) == ["labelsTr/BRATS_009.nii.gz has no image"]
