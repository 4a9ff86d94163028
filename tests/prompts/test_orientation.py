"""From a voxel of the stored volume to a mask on the stored volume, in all 48 storage orders."""

from functools import cache

import numpy as np
import pytest
from nibabel.affines import apply_affine

from tests.painted import STORAGE_ORDERS, Box, grid, in_order, inside, painted
from tests.prompts.test_propagation import FillsBoxes, Remembers, TwoTissues, segmenter_of
from zeus_app.progress import silent
from zeus_app.prompts.propagation import Reach
from zeus_app.prompts.types import Clicks, StudyPrompt
from zeus_app.studies.align import align, to_grid
from zeus_app.studies.slices import slice_stack
from zeus_app.types import BoolArray, SliceStack, Study, Volume

GRID = grid((64, 64, 7), (1.0, 1.0, 3.0), centre_mm=(5, -3, 2))
OBJECT: tuple[Box, ...] = (((9.1, 20.9), (-20.9, -13.1), (-4.1, 8.1)),)  # right, behind, above
RADIUS_MM = (29.0, 29.0)


@pytest.mark.parametrize("codes", STORAGE_ORDERS)
def test_a_click_into_an_object_marks_the_object(codes: str) -> None:
    volume, stack = stored(codes)
    truth = inside(volume.grid, OBJECT)
    found = clicked(volume, stack, Clicks((middle_of(volume),)))
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9
    assert middle(found, volume) == pytest.approx(middle(truth, volume), abs=0.5)


@pytest.mark.parametrize("codes", STORAGE_ORDERS)
def test_a_box_around_an_object_marks_the_object_and_nothing_else(codes: str) -> None:
    volume, stack = stored(codes)
    truth = inside(volume.grid, OBJECT)
    voxels = np.argwhere(truth)
    corners = tuple(map(float, voxels.min(axis=0))), tuple(map(float, voxels.max(axis=0)))
    assert np.array_equal(clicked(volume, stack, Clicks(box=corners)), truth)


@cache
def stored(codes: str) -> tuple[Volume, SliceStack]:
    """The body with the object in a storage order, and its pictures."""
    volume = painted(in_order(GRID, codes), OBJECT, radius_mm=RADIUS_MM)
    return volume, slice_stack(align(Study("s", {"T2": volume}), "T2"), ("T2",))


def clicked(volume: Volume, stack: SliceStack, clicks: Clicks) -> BoolArray:
    """The answer on the stored grid."""
    pointing = StudyPrompt(clicks.on(stack.frame.grid, volume.grid))
    segmenter = segmenter_of(TwoTissues(), FillsBoxes(), Remembers())
    answer = segmenter.segment(stack, {0: pointing}, reach=Reach(slices=9), report=silent)
    on_grid = Volume(answer, stack.frame.grid.affine_ras)
    found: BoolArray = to_grid(on_grid, volume.grid, order=0, fill=0.0).array > 0
    return found


def middle_of(volume: Volume) -> tuple[float, float, float]:
    """The voxel in the middle of the object."""
    centre_mm = np.mean(OBJECT[0], axis=1)
    i, j, k = np.rint(apply_affine(np.linalg.inv(volume.affine_ras), centre_mm)).tolist()
    return i, j, k


def middle(mask: BoolArray, volume: Volume) -> np.ndarray:
    """RAS mm."""
    return apply_affine(volume.affine_ras, np.argwhere(mask)).mean(axis=0)
