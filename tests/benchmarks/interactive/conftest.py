"""A small volume whose mask and sequences are known."""

import numpy as np
import pytest

from benchmarks.interactive.scenes import Scene
from zeus_app.studies.slices import make_frame
from zeus_app.types import BoolArray, Grid, SliceStack

SHAPE = (32, 32, 4)
SPACING_MM = (2.0, 2.0, 5.0)


def a_mask(*slices: int) -> BoolArray:
    """A box of 10×12 voxels on some slices."""
    mask = np.zeros(SHAPE, np.bool_)
    mask[8:18, 6:18, list(slices)] = True
    return mask


def a_volume() -> Scene:
    """The box on slices 1 and 2. T2 shows tissue on all slices, FLAIR on the last two."""
    frame = make_frame(Grid(SHAPE, np.diag([*SPACING_MM, 1.0])))
    tissue = np.array([[True, True, True, True], [False, False, True, True]])
    pixels = np.zeros((2, 4, 256, 256), np.float32)
    stack = SliceStack(("T2", "FLAIR"), pixels, tissue, frame)
    return Scene("phantom", "phantom_00", "lesion", stack, a_mask(1, 2))


@pytest.fixture
def volume() -> Scene:
    """A small volume in 3-D."""
    return a_volume()
