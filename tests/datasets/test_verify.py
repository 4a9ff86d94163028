"""`verify` tells what a dataset holds and each fault, and changes nothing."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from tests.datasets import archives
from zeus_app.datasets.kinds import open_dataset
from zeus_app.datasets.verify import verify


def told(folder: Path, target: str | None = None, **options: Any) -> list[tuple[str, str]]:
    """(case, problem) of a folder."""
    found = verify(open_dataset(folder, target), **options)
    return [(problem.case, problem.text) for problem in found.problems]


@pytest.fixture
def brain(tmp_path: Path) -> Path:
    return archives.msd_brain(tmp_path)


def test_sound_archives_have_no_problem(tmp_path: Path) -> None:
    archives.chaos(tmp_path / "chaos")
    archives.chaos(tmp_path / "chaos", "4", part="Test_Sets")
    archives.brats(tmp_path / "brats")
    folders = (
        archives.msd_brain(tmp_path), archives.msd_prostate(tmp_path), archives.nnunet(tmp_path),
        tmp_path / "chaos", tmp_path / "brats",
    )  # fmt: skip
    assert [told(folder) for folder in folders] == [[], [], [], [], []]


def test_voxels_of_each_stored_value_are_counted(brain: Path) -> None:
    found = verify(open_dataset(brain))
    drawn = [archives.mask_of(case) for case in ("BRATS_001", "BRATS_002")]
    for value in (1, 2, 3):
        expected = sum(int(np.count_nonzero(mask == value)) for mask in drawn)
        assert found.labels.voxels[value] == expected
        assert found.labels.cases[value] == 2


def test_the_range_of_spacings_is_told(brain: Path) -> None:
    coarse = np.diag([1.0, 2.0, 5.0, 1.0])
    for folder, array in (("imagesTr", np.stack([archives.picture()] * 4, axis=-1)),
                          ("labelsTr", archives.marks())):  # fmt: skip
        archives.save(brain / folder / "BRATS_002.nii.gz", array, coarse)
    flair = verify(open_dataset(brain)).as_json()["sequences"]["FLAIR"]
    assert flair == {
        "cases": 3, "spacing_mm": [[0.75, 1.25, 4], [1, 2, 5]], "shape": [[9, 7, 5], [9, 7, 5]],
    }  # fmt: skip


def test_a_missing_channel_is_told_by_case(tmp_path: Path) -> None:
    folder = archives.nnunet(tmp_path)
    (folder / "imagesTr" / "p2_0001.nii.gz").unlink()
    assert told(folder) == [("p2", "no T1-in")]


def test_a_4d_file_with_fewer_channels_is_told(brain: Path) -> None:
    two = np.stack([archives.picture()] * 2, axis=-1)
    archives.save(brain / "imagesTr" / "BRATS_002.nii.gz", two)
    problems = told(brain)
    assert ("BRATS_002", "2 channels in BRATS_002.nii.gz, and 4 in dataset.json") in problems
    assert [text for case, text in problems if "has no channel 2" in text]


@pytest.mark.parametrize(
    ("shape", "affine"),
    [((9, 7, 4), archives.LPS_OF_MSD), (archives.SHAPE, np.diag([0.75, 1.25, 4, 1.0]))],
    ids=["shape", "affine"],
)
def test_a_truth_in_another_place_is_told(
    brain: Path, shape: tuple[int, ...], affine: np.ndarray[Any, np.dtype[np.float64]]
) -> None:
    archives.save(brain / "labelsTr" / "BRATS_001.nii.gz", archives.marks(shape), affine)
    problems = told(brain)
    assert {case for case, _ in problems} == {"BRATS_001"}
    assert all("does not lie on" in text for _, text in problems)


def test_a_value_of_no_label_is_told(brain: Path) -> None:
    archives.save(brain / "labelsTr" / "BRATS_001.nii.gz", archives.marks(values=(1, 7)))
    problems = told(brain)
    assert problems[0][0] == "BRATS_001"
    assert "values 7 are no label" in problems[0][1]


def test_a_value_that_the_description_lacks_is_told(brain: Path) -> None:
    """The target takes 4 for a tumour too; dataset.json names 1 to 3."""
    archives.save(brain / "labelsTr" / "BRATS_001.nii.gz", archives.marks(values=(1, 4)))
    assert told(brain) == [
        ("", "dataset.json: it names no label of value 4, which masks hold"),
    ]  # fmt: skip


def test_an_empty_truth_is_told(brain: Path) -> None:
    archives.save(brain / "labelsTr" / "BRATS_001.nii.gz", np.zeros(archives.SHAPE, np.uint8))
    assert told(brain) == [("BRATS_001", "truth of FLAIR is empty")]


def test_a_truncated_image_is_told(brain: Path) -> None:
    path = brain / "imagesTr" / "BRATS_001.nii.gz"
    path.write_bytes(path.read_bytes()[:-40])
    problems = told(brain)
    assert {case for case, _ in problems} == {"BRATS_001"}
    assert all("cannot be read" in text for _, text in problems)


def test_voxels_are_read_unless_a_quick_look_is_asked_for(tmp_path: Path) -> None:
    folder = archives.nnunet(tmp_path)
    path = folder / "imagesTr" / "p1_0000.nii.gz"
    archives.save(path, np.zeros(archives.SHAPE, np.int16))
    assert ["every voxel" in text for _, text in told(folder)] == [True]
    assert told(folder, with_voxels=False) == []


def test_a_training_case_without_truth_is_told(tmp_path: Path) -> None:
    folder = archives.nnunet(tmp_path)
    (folder / "labelsTr" / "p2.nii.gz").unlink()
    assert told(folder) == [("p2", "no truth")]


def test_a_copied_case_is_told(brain: Path) -> None:
    for folder in ("imagesTr", "labelsTr"):
        copy = brain / folder / "BRATS_002.nii.gz"
        shutil.copy(brain / folder / "BRATS_001.nii.gz", copy)
    assert told(brain) == [
        ("BRATS_002", "BRATS_002.nii.gz has the content of BRATS_001.nii.gz of case BRATS_001"),
    ] * 2  # fmt: skip


def test_two_folders_of_one_case_are_told(tmp_path: Path) -> None:
    archives.brats(tmp_path / "HGG")
    archives.brats(tmp_path / "LGG")
    assert told(tmp_path)[0] == ("BraTS20_Training_001", "2 folders or files of this name")


def test_masks_in_another_order_than_the_images_are_told(tmp_path: Path) -> None:
    folder = archives.chaos(tmp_path)
    for protocol in ("T2SPIR", "T1DUAL"):
        ground = sorted((folder / protocol / "Ground").iterdir())
        contents = [path.read_bytes() for path in ground]
        for path, content in zip(ground, reversed(contents), strict=True):
            path.write_bytes(content)
    ((case, text),) = told(tmp_path)
    assert case == ""
    assert "3 of 3 masks fit their images better with the slices reversed" in text


def test_nothing_in_the_folder_changes(brain: Path) -> None:
    def state() -> list[tuple[Path, int, int]]:
        found = (path.stat() for path in sorted(brain.rglob("*")))
        names = sorted(brain.rglob("*"))
        return [(n, s.st_size, s.st_mtime_ns) for n, s in zip(names, found, strict=True)]

    before = state()
    verify(open_dataset(brain))
    assert state() == before


def test_progress_is_told_by_case(brain: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    verify(open_dataset(brain), report=lambda *call: calls.append(call))
    assert calls == [("cases", done, 3) for done in range(4)]


def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    folder = archives.nnunet(tmp_path)
    for name in ("imagesTr/p1_0000.nii.gz", "imagesTr/p2_0001.nii.gz", "labelsTr/p2.nii.gz"):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    assert {case for case, text in told(folder) if "no regular file" in text} == {"p1", "p2"}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("write", [archives.msd_brain, archives.nnunet, archives.chaos])
def test_damaged_files_are_told_and_stop_nothing(
    tmp_path: Path, write: Callable[[Path], Path], seed: int
) -> None:
    """Three files are cut, filled with noise, or emptied."""
    write(tmp_path)
    folder = next((p for p in tmp_path.iterdir() if (p / "dataset.json").exists()), tmp_path)
    random = Random(seed)
    files = [path for path in sorted(folder.rglob("*.*")) if path.suffix in (".gz", ".dcm", ".png")]
    usable = [path for path in files if not path.name.startswith("._")]
    for path in random.sample(usable, 3):
        content = path.read_bytes()
        cut = content[: random.randrange(len(content))]
        path.write_bytes(random.choice([b"", cut, random.randbytes(len(content))]))
    assert told(folder)
