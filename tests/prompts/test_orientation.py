"""From a voxel of the stored volume to a mask on the stored volume, in all 48 storage orders."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from nibabel.affines import apply_affine

from tests.memory_cache import MemoryCache
from tests.painted import STORAGE_ORDERS, Box, grid, in_order, inside, painted
from tests.prompts.test_segmenter import FillsBoxes, TwoTissues, segmenter_of
from zeus_app.progress import silent
from zeus_app.prompts.propagation import PropagationLimits
from zeus_app.prompts.types import StudyPrompt
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
    mask = segmented(volume, stack, StudyPrompt((middle_of(volume),)))
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.9
    assert middle(mask, volume) == pytest.approx(middle(truth, volume), abs=0.5)


@pytest.mark.parametrize("codes", STORAGE_ORDERS)
def test_a_box_around_an_object_marks_the_object_and_nothing_else(codes: str) -> None:
    volume, stack = stored(codes)
    truth = inside(volume.grid, OBJECT)
    voxels = np.argwhere(truth)
    (left, back, low), (right, front, high) = voxels.min(axis=0), voxels.max(axis=0)
    corners = (float(left), float(back), float(low)), (float(right), float(front), float(high))
    assert np.array_equal(segmented(volume, stack, StudyPrompt(box=corners)), truth)


@cache
def stored(codes: str) -> tuple[Volume, SliceStack]:
    """The body with the object in a storage order, and its pictures."""
    volume = painted(in_order(GRID, codes), OBJECT, radius_mm=RADIUS_MM)
    return volume, slice_stack(align(Study("s", {"T2": volume}), "T2"), ("T2",))


def segmented(volume: Volume, stack: SliceStack, prompt: StudyPrompt) -> BoolArray:
    """The answer on the stored grid."""
    segmenter = segmenter_of(TwoTissues(), FillsBoxes(), MemoryCache())
    prompts = {0: prompt.on(stack.frame.grid, volume.grid)}
    limits = PropagationLimits(max_slices=9)
    answer = segmenter.segment(stack, prompts, limits=limits, report=silent)
    on_grid = Volume(answer, stack.frame.grid.affine_ras)
    mask: BoolArray = to_grid(on_grid, volume.grid, order=0, fill=0.0).array > 0
    return mask


def middle_of(volume: Volume) -> tuple[float, float, float]:
    """The voxel in the middle of the object."""
    centre_mm = np.mean(OBJECT[0], axis=1)
    i, j, k = np.rint(apply_affine(np.linalg.inv(volume.affine_ras), centre_mm)).tolist()
    return i, j, k


def middle(mask: BoolArray, volume: Volume) -> npt.NDArray[np.float64]:
    """RAS mm."""
    voxels_mm: npt.NDArray[np.float64] = apply_affine(volume.affine_ras, np.argwhere(mask))
    centre: npt.NDArray[np.float64] = voxels_mm.mean(axis=0)
    return centre
