import math
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from zeus_app.dicom.report.diameter import Diameter, longest_diameter

SQUARE_MM = (1.0, 1.0)


def empty(columns: int = 12, rows: int = 10, slices: int = 4) -> npt.NDArray[np.bool_]:
    return np.zeros((columns, rows, slices), bool)


def longest(mask: npt.NDArray[np.bool_], spacing_mm: tuple[float, float] = SQUARE_MM) -> Diameter:
    diameter = longest_diameter(mask, spacing_mm)
    assert diameter is not None
    return diameter


def test_an_empty_mask_has_no_diameter() -> None:
    assert longest_diameter(empty(), SQUARE_MM) is None


def test_the_diameter_of_a_rectangle_is_its_diagonal() -> None:
    mask = empty()
    mask[2:6, 3:6, 1] = True  # 4 columns by 3 rows
    assert longest(mask) == Diameter(5.0, 1, (2.0, 3.0), (6.0, 6.0))


def test_columns_and_rows_have_their_own_spacing() -> None:
    mask = empty()
    mask[2:8, 3:7, 1] = True  # 6 columns of 0.5 mm, 4 rows of 1 mm
    assert longest(mask, (0.5, 1.0)).length_mm == pytest.approx(5.0)


def test_the_spacing_decides_which_line_is_the_longest() -> None:
    mask = empty()
    mask[1:8, 2, 0] = True  # a bar of 7 columns
    mask[1, 2:7, 0] = True  # and of 5 rows, which are 3 mm apart
    # From the bar's right end to the foot of the other: (8, 2) to (1, 7), or (8, 3) to (1, 7).
    assert longest(mask, (1.0, 3.0)).length_mm == pytest.approx(math.hypot(7, 15))


def test_one_pixel_has_its_diagonal() -> None:
    mask = empty()
    mask[4, 5, 2] = True
    assert longest(mask, (3.0, 4.0)) == Diameter(5.0, 2, (4.0, 5.0), (5.0, 6.0))


def test_the_slice_with_the_longest_line_is_chosen() -> None:
    mask = empty()
    mask[2:4, 3, 0] = True
    mask[2:9, 3, 2] = True
    mask[2:5, 3, 3] = True
    assert longest(mask).slice_index == 2


def test_of_equal_slices_the_first_is_chosen() -> None:
    mask = empty()
    mask[2:9, 3, 1:3] = True
    assert longest(mask).slice_index == 1


def test_two_regions_of_a_slice_are_measured_together() -> None:
    mask = empty()
    mask[0, 0, 0] = mask[5, 11 - 2, 0] = True
    assert longest(mask).length_mm == pytest.approx(math.hypot(6, 10))


def test_the_diameter_of_an_ellipse_is_its_long_axis_within_a_pixel() -> None:
    column, row = np.meshgrid(np.arange(100), np.arange(80), indexing="ij")
    inside = ((column - 50) * 0.5 / 20) ** 2 + ((row - 40) * 0.8 / 12) ** 2 <= 1
    diameter = longest(inside[:, :, None], (0.5, 0.8))
    assert diameter.length_mm == pytest.approx(40, abs=math.hypot(0.5, 0.8))
    assert abs(diameter.start_px[1] - diameter.end_px[1]) <= 4  # it runs along the columns


@pytest.mark.parametrize("seed", range(20))
def test_no_pair_of_pixels_is_further_apart(seed: int) -> None:
    random = np.random.default_rng(seed)
    mask = random.random((9, 7, 1)) < 0.2
    mask[4, 3, 0] = True
    spacing = (0.7, 1.9)
    corners = [(c + i, r + j) for c, r, _ in np.argwhere(mask) for i in (0, 1) for j in (0, 1)]
    furthest = max(
        math.hypot((a[0] - b[0]) * spacing[0], (a[1] - b[1]) * spacing[1])
        for a, b in combinations(corners, 2)
    )
    diameter = longest(mask, spacing)
    assert diameter.length_mm == pytest.approx(furthest)
    assert {diameter.start_px, diameter.end_px} <= set(corners)
