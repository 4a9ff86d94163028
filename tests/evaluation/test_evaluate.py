"""All cases of two folders are compared; what cannot be is listed and stops nothing."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.studies.tiny_files import nifti
from zeus_app.errors import CancelledError
from zeus_app.evaluation.compare import Reading
from zeus_app.evaluation.evaluate import evaluate
from zeus_app.targets import load_target


def label_map(path: Path, *values: int) -> None:
    """A label map with one voxel of each value."""
    array = np.zeros((5, 5, 4), np.uint8)
    array[: len(values), 1, 1] = values
    nifti(path, array)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    masks, truth = tmp_path / "masks", tmp_path / "truth"
    for study, found, true in (("p1", [1], [1]), ("p2", [1, 2], [1, 2]), ("p4", [0, 1], [1])):
        label_map(masks / study / "mask.nii.gz", *found)
        label_map(truth / f"{study}.nii.gz", *true)
    (masks / "p3").mkdir()
    (masks / "p3" / "mask.nii.gz").write_bytes(b"damaged")
    label_map(truth / "p3.nii.gz", 1)
    label_map(truth / "p5.nii.gz", 1)
    return masks, truth


def test_one_bad_case_stops_nothing(folders: tuple[Path, Path]) -> None:
    found = evaluate(*folders, Reading(load_target("phantom")))
    assert [case.case for case in found.cases] == ["p1", "p2", "p4"]
    alone = "truth/p5.nii.gz"
    assert set(found.left_out) == {"p3", alone}
    assert "mask.nii.gz" in found.left_out["p3"]
    assert found.left_out[alone] == "no partner"
    assert [one.name for one in found.structures] == ["lesion", "cyst"]


def test_without_a_target_every_value_that_occurs_is_a_label_of_all_cases(
    folders: tuple[Path, Path],
) -> None:
    found = evaluate(*folders, Reading())
    assert [one.name for one in found.structures] == ["1", "2"]
    assert found.values(found.structures[0], "dsc") == [1, 1, 0]
    assert found.values(found.structures[1], "dsc") == [1, 1, 1]  # p1 and p4: neither shows it


def test_files_of_folders_with_one_name_are_told_apart(tmp_path: Path) -> None:
    label_map(tmp_path / "a" / "labels" / "p1.nii.gz", 1)
    label_map(tmp_path / "b" / "labels" / "q1.nii.gz", 1)
    found = evaluate(tmp_path / "a" / "labels", tmp_path / "b" / "labels", Reading())
    assert set(found.left_out) == {
        str(tmp_path / "a" / "labels" / "p1.nii.gz"), str(tmp_path / "b" / "labels" / "q1.nii.gz"),
    }  # fmt: skip


def test_each_case_is_reported_and_may_be_cancelled(folders: tuple[Path, Path]) -> None:
    told: list[tuple[int, int]] = []

    def report(stage: str, done: int, total: int) -> None:
        told.append((done, total))
        if done == 2:
            raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        evaluate(*folders, Reading(), report=report)
    assert told == [(0, 4), (1, 4), (2, 4)]


def test_a_voxel_type_that_nibabel_cannot_read_is_listed(folders: tuple[Path, Path]) -> None:
    masks, truth = folders
    colours = np.zeros((5, 5, 4), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    nibabel.save(nibabel.Nifti1Image(colours, np.eye(4)), masks / "p1" / "mask.nii.gz")
    found = evaluate(masks, truth, Reading())
    assert set(found.left_out) == {"p1", "p3", "truth/p5.nii.gz"}
