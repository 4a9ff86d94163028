"""A mask in a wrong order fits its image worse."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.datasets import archives
from zeus_app.datasets.fit import REVERSALS, better_reversal, variance_within_labels
from zeus_app.types import Volume
from zeus_app.volumes.sources import read_voxels

REAL = Path(os.environ.get("ZEUS_REAL_DATA", "."))
ABDOMENS = sorted((REAL / "abdomen").glob("chaos_*"))


def volume(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Volume:
    return Volume(np.asarray(array, np.float32), np.eye(4))


def test_the_variance_is_the_mean_of_the_labels_by_voxels() -> None:
    """Label 1: 1 and 3, variance 1. Label 2: 5 alone; background: 9 alone. Four voxels: 2/4."""
    image, mask = np.array([1, 3, 5, 9]), np.array([1, 1, 2, 0])
    drawn = Volume(mask.reshape(4, 1, 1).astype(np.uint8), np.eye(4))
    assert variance_within_labels(volume(image.reshape(4, 1, 1)), drawn) == pytest.approx(0.5)


@pytest.mark.parametrize("name", list(REVERSALS))
def test_the_reversed_axis_is_found(name: str) -> None:
    labels = archives.organs((14, 11, 6))
    drawn = Volume(np.flip(labels, REVERSALS[name]), np.eye(4))
    assert better_reversal(volume(1000.0 * labels), drawn) == name


def test_a_mask_in_its_place_needs_no_reversal() -> None:
    labels = archives.organs((14, 11, 6))
    assert better_reversal(volume(1000.0 * labels), Volume(labels, np.eye(4))) == ""


@pytest.mark.real
def test_no_real_abdomen_fits_better_when_reversed() -> None:
    better = {
        path.name: better_reversal(
            read_voxels(path / "t2spir.nii.gz"),
            Volume(read_voxels(path / "label.nii.gz").array.astype(np.uint8), np.eye(4)),
        )
        for path in ABDOMENS
    }
    assert len(better) == 14
    assert {name: axis for name, axis in better.items() if axis} == {}
