"""The simulated user, on masks whose middle and whose largest error are seen at a glance."""

import numpy as np
import pytest

from zeus_app.errors import InputError
from zeus_app.prompts.simulation import (
    SimulatedClick,
    first_click,
    largest_part,
    middle,
    next_click,
    with_click,
)
from zeus_app.prompts.types import StudyPrompt
from zeus_app.types import BoolArray

SQUARE = (1.0, 1.0)


def drawn(*rows: str) -> BoolArray:
    """A mask as text: # is inside."""
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def volume(*slices: tuple[str, ...]) -> BoolArray:
    """Masks of slices as text, stacked along the last axis."""
    return np.stack([drawn(*rows) for rows in slices], axis=-1)


class TestMiddle:
    def test_it_is_the_centre_of_a_square(self) -> None:
        square = drawn(
            "......",
            ".###..",
            ".###..",
            ".###..",
        )
        assert middle(square, SQUARE) == (2, 2)

    def test_it_lies_in_the_thick_end_of_a_club_and_not_at_its_centre_of_mass(self) -> None:
        club = drawn(
            "###.......",
            "##########",
            "###.......",
        )
        assert middle(club, SQUARE) == (1, 1)

    def test_it_lies_inside_a_ring(self) -> None:
        ring = drawn(
            "#####",
            "#...#",
            "#####",
        )
        assert ring[middle(ring, SQUARE)]

    def test_the_end_of_the_array_is_a_border(self) -> None:
        assert middle(np.ones((3, 5), np.bool_), SQUARE) == (1, 1)

    def test_of_equal_pixels_the_first_is_taken(self) -> None:
        assert middle(drawn("..##", "...."), SQUARE) == (0, 2)

    def test_distances_are_in_mm(self) -> None:
        """A column of three voxels along z, and a plate of 5×5 voxels in one slice."""
        mask = np.zeros((9, 9, 5), np.bool_)
        mask[0, 0, 0:3] = True  # a column along z
        mask[3:8, 3:8, 4:5] = True  # a plate in one slice
        assert middle(mask, (1.0, 1.0, 9.0)) == (5, 5, 4)  # 3 mm to the side
        assert middle(mask, (9.0, 9.0, 1.0)) == (0, 0, 1)  # 2 mm up, the plate has 1 mm

    def test_an_empty_mask_is_refused(self) -> None:
        with pytest.raises(InputError, match="mask of 0 pixels"):
            middle(drawn("...."), SQUARE)

    def test_a_spacing_for_too_few_axes_is_refused(self) -> None:
        with pytest.raises(InputError, match="one spacing for each"):
            middle(np.ones((2, 2, 2), np.bool_), SQUARE)


class TestLargestPart:
    def test_parts_that_touch_at_a_corner_only_are_two(self) -> None:
        mask = drawn(
            "##..",
            "##..",
            "..#.",
        )
        assert largest_part(mask).sum() == 4

    def test_of_equal_parts_the_first_is_taken(self) -> None:
        assert largest_part(drawn("#.#", "#.#")).tolist() == drawn("#..", "#..").tolist()

    def test_nothing_has_no_part(self) -> None:
        assert not largest_part(drawn("..", "..")).any()


class TestClicks:
    truth = drawn(
        ".......",
        ".#####.",
        ".#####.",
        ".#####.",
        ".......",
    )

    def test_the_first_click_goes_into_the_middle_of_the_object(self) -> None:
        assert first_click(self.truth, SQUARE) == SimulatedClick((2, 2), is_foreground=True)

    def test_a_missed_part_gets_a_foreground_click_in_its_middle(self) -> None:
        mask = self.truth.copy()
        mask[:, 3:] = False  # misses three columns of the object
        assert next_click(mask, self.truth, SQUARE) == SimulatedClick((2, 4), is_foreground=True)

    def test_a_part_too_much_gets_a_background_click_in_its_middle(self) -> None:
        mask = self.truth.copy()
        mask[:, 6] = True  # one column of five pixels too much; the first of them is as good
        assert next_click(mask, self.truth, SQUARE) == SimulatedClick((0, 6), is_foreground=False)

    def test_one_large_error_counts_more_than_several_small_ones(self) -> None:
        mask = self.truth.copy()
        mask[1, 1] = mask[3, 1] = mask[1, 5] = False  # three missed pixels
        mask[4, 3:5] = True  # two extra pixels in one part
        click = next_click(mask, self.truth, SQUARE)
        assert click == SimulatedClick((4, 3), is_foreground=False)

    def test_of_errors_of_one_size_the_missed_one_is_clicked(self) -> None:
        mask = self.truth.copy()
        mask[0, 0], mask[3, 5] = True, False
        assert next_click(mask, self.truth, SQUARE) == SimulatedClick((3, 5), is_foreground=True)

    def test_a_perfect_mask_gets_no_click(self) -> None:
        assert next_click(self.truth, self.truth, SQUARE) is None

    def test_in_3d_parts_are_connected_through_slices(self) -> None:
        truth = volume(("##..##", "......"), ("##....", "......"), ("##....", "......"))
        mask = np.zeros_like(truth)
        click = next_click(mask, truth, (1.0, 1.0, 1.0))
        assert click == SimulatedClick((0, 0, 0), is_foreground=True)
        assert largest_part(truth).sum() == 6

    def test_masks_of_two_shapes_are_refused(self) -> None:
        with pytest.raises(InputError, match="same shape"):
            next_click(self.truth[1:], self.truth, SQUARE)


class TestPrompts:
    earlier = StudyPrompt(foreground=((1.0, 2.0, 3.0),))

    def test_a_foreground_click_comes_after_the_earlier_ones(self) -> None:
        prompt = with_click(self.earlier, SimulatedClick((4, 5, 6), is_foreground=True))
        assert prompt == StudyPrompt(foreground=((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)))

    def test_a_background_click_leaves_the_foreground(self) -> None:
        prompt = with_click(self.earlier, SimulatedClick((4, 5, 6), is_foreground=False))
        assert prompt == StudyPrompt(((1.0, 2.0, 3.0),), ((4.0, 5.0, 6.0),))
