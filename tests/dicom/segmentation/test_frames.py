"""Frames of masks on a grid."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from tests.dicom.mr_series import ORIENTATIONS
from zeus_app.dicom.planes import planes_of
from zeus_app.dicom.segmentation.frames import Frame, place_frames
from zeus_app.errors import InputError
from zeus_app.types import LPS_TO_RAS, Grid

AXIAL = ORIENTATIONS["axial"]


def frame(
    position: tuple[float, ...],
    pixel: tuple[int, int],
    *,
    orientation: tuple[float, ...] = AXIAL,
    spacing_mm: tuple[float, float] = (1.0, 1.0),
    step_mm: float = 0.0,
) -> Frame:
    """A frame of 3 rows by 4 columns with one pixel (column, row)."""
    image = Dataset()
    image.Rows, image.Columns = 3, 4
    image.ImagePositionPatient, image.ImageOrientationPatient = list(position), list(orientation)
    image.PixelSpacing, image.SliceThickness = list(spacing_mm), 0
    image.SpacingBetweenSlices = step_mm
    mask = np.zeros((3, 4), bool)
    mask[pixel[1], pixel[0]] = True
    return Frame(planes_of(image)[0], mask)


def grid(*shape: int, spacing_mm: tuple[float, float, float] = (1, 1, 2)) -> Grid:
    x, y, z = shape
    return Grid((x, y, z), LPS_TO_RAS @ np.diag([*spacing_mm, 1.0]))


def voxels(frames: list[Frame], on: Grid) -> list[list[int]]:
    mask, _ = place_frames(frames, on)
    return [[int(index) for index in voxel] for voxel in np.argwhere(mask)]


def test_no_frame_gives_an_empty_mask() -> None:
    mask, notes = place_frames([], grid(4, 3, 5))
    assert mask.shape == (4, 3, 5)
    assert not mask.any()
    assert notes == ()


def test_a_frame_lies_on_the_slice_at_its_position() -> None:
    assert voxels([frame((0, 0, 6), (3, 1))], grid(4, 3, 5)) == [[3, 1, 3]]


def test_a_frame_whose_rows_run_the_other_way_is_turned() -> None:
    flipped = frame((3, 2, 6), (3, 1), orientation=(-1, 0, 0, 0, -1, 0))
    assert voxels([flipped], grid(4, 3, 5)) == [[0, 1, 3]]


def test_frames_far_apart_are_not_thickened() -> None:
    """Two slices of a mask, without the slices between them and without their distance."""
    frames = [frame((0, 0, 0), (0, 0)), frame((0, 0, 8), (0, 0))]
    assert voxels(frames, grid(4, 3, 5)) == [[0, 0, 0], [0, 0, 4]]


def test_a_voxel_outside_the_grid_is_counted() -> None:
    mask, notes = place_frames([frame((0, 0, 20), (0, 0))], grid(4, 3, 5))
    assert not mask.any()
    assert notes == ("1 voxels lie outside the image",)


def test_larger_pixels_cover_all_voxels_in_them() -> None:
    """A pixel of 3 mm, centred on voxel 4, covers voxels 3 to 5 of 1 mm."""
    large = frame((1, 1, 0), (1, 0), spacing_mm=(3, 3), step_mm=3)
    mask, notes = place_frames([large], grid(9, 9, 3, spacing_mm=(1, 1, 1)))
    covered = np.argwhere(mask[:, :, 0]).tolist()
    assert covered == [[x, y] for x in (3, 4, 5) for y in (0, 1, 2)]
    assert notes == ("resampled from voxels of 3×3×3 mm",)


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([frame((0.5, 0, 0), (0, 0)), frame((0, 0, 0), (0, 0), orientation=(0, 1, 0, 0, 0, 1))],
         "different direction"),
        ([frame((0.5, 0, 0), (0, 0))], "without a distance"),
        ([frame((0.5, 0, z), (0, 0)) for z in (0, 2, 5)], "not 2 mm apart"),
        ([frame((0.5, 0, z), (0, 0), step_mm=0.001) for z in (0, 20)], "not 0.001 mm apart"),
    ],
)  # fmt: skip
def test_frames_that_are_no_stack_are_refused(frames: list[Frame], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        place_frames(frames, grid(4, 3, 5))
