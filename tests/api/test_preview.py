"""Previews, and the place of the example click."""

import numpy as np
import pytest
from nibabel.affines import apply_affine

from tests.painted import STORAGE_ORDERS, grid, in_order, painted
from tests.pipeline.bright_model import TARGET, opened, segmented
from zeus_app.api.preview import brightest_spot, example_png, preview_png
from zeus_app.studies.opened import OpenedStudy
from zeus_app.types import Grid, Volume

PNG = b"\x89PNG\r\n"
ON = grid((64, 56, 7), (1, 1, 3), centre_mm=(2, -3, 5))
SPOT_MM = (6.0, -8.0, 5.0)
SPOT = tuple((mm - half, mm + half) for mm, half in zip(SPOT_MM, (4.5, 4.5, 4), strict=True))


def study(on: Grid) -> OpenedStudy:
    low, middle, high = SPOT
    return opened(T2=painted(on, ((low, middle, high),), radius_mm=(30, 26)))


@pytest.mark.parametrize("codes", STORAGE_ORDERS[::5])
def test_the_example_click_is_at_the_brightest_spot_in_voxels_of_the_stored_image(
    codes: str,
) -> None:
    on = in_order(ON, codes)
    opened_study = study(on)
    click = brightest_spot(opened_study)
    assert click.sequence == "T2"
    for voxel, affine in (
        (click.voxel, on.affine_ras),
        (click.canonical, opened_study.grid.affine_ras),
    ):
        assert np.abs(apply_affine(affine, voxel) - SPOT_MM).max() <= 4.5


def test_the_rim_of_the_tissue_is_no_place_for_it() -> None:
    volume = painted(ON, ((SPOT[0], SPOT[1], SPOT[2]),), radius_mm=(30, 26))
    x, y, _ = np.meshgrid(*map(np.arange, ON.shape), indexing="ij")
    rim = np.abs(np.hypot((x - 31.5) / 30, (y - 27.5) / 26) - 0.97) < 0.03
    volume.array[rim] = 900  # brighter than the spot
    click = brightest_spot(opened(T2=volume))
    assert np.abs(apply_affine(ON.affine_ras, click.voxel) - SPOT_MM).max() <= 4.5


def test_pictures_are_png_with_and_without_a_mask() -> None:
    opened_study = study(ON)
    answer = segmented(T2=painted(ON, ((SPOT[0], SPOT[1], SPOT[2]),), radius_mm=(30, 26)))
    assert preview_png(opened_study, answer, TARGET.label_values).startswith(PNG)
    click = brightest_spot(opened_study)
    empty = Volume(np.zeros(ON.shape, np.uint8), ON.affine_ras)
    assert example_png(opened_study, click, empty).startswith(PNG)
