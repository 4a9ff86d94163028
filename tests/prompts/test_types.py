"""A voxel that a client clicks is the pixel that the towers see, whatever way the volume lies."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from zeus_app.prompts.types import Scribbles, StudyPrompt, Voxel, slice_prompts
from zeus_app.studies.align import canonical
from zeus_app.studies.slices import make_frame, to_pictures
from zeus_app.types import Grid, Volume

SHAPE = (20, 16, 5)
ORIENTATIONS = [
    (order, flips) for order in permutations(range(3)) for flips in product((1, -1), repeat=3)
]


def stored(order: tuple[int, ...], flips: tuple[int, ...]) -> tuple[Volume, Voxel]:
    """A volume with one bright voxel, and where that voxel is, stored in any orientation."""
    array = np.zeros(SHAPE, np.float32)
    array[13, 4, 3] = 1
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (-7, 11, 4)
    image = nib.Nifti1Image(array, affine)
    turned = image.as_reoriented(np.array(list(zip(order, flips, strict=True))))
    data = np.asarray(turned.dataobj)
    i, j, k = np.argwhere(data)[0].tolist()
    return Volume(data, turned.affine), (float(i), float(j), float(k))


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
def test_a_clicked_voxel_is_the_pixel_that_shows_it(
    order: tuple[int, ...], flips: tuple[int, ...]
) -> None:
    volume, voxel = stored(order, flips)
    upright = canonical(volume)
    frame = make_frame(upright.grid)
    prompt = StudyPrompt((voxel,)).on(upright.grid, volume.grid)
    prompts = slice_prompts(prompt, frame)
    (s,) = prompts
    ((row, col),) = prompts[s].foreground
    pictures = to_pictures(upright.array, frame, nearest=True)
    rows, cols = np.nonzero(pictures[s])
    assert (row, col) == pytest.approx((rows.mean(), cols.mean()), abs=0.51)
    assert pictures[:s].sum() == pictures[s + 1 :].sum() == 0


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
def test_a_box_holds_its_corner_voxels_whole_and_nothing_else(
    order: tuple[int, ...], flips: tuple[int, ...]
) -> None:
    volume, voxel = stored(order, flips)
    upright = canonical(volume)
    frame = make_frame(upright.grid)
    prompt = StudyPrompt(box=(voxel, voxel)).on(upright.grid, volume.grid)
    prompts = slice_prompts(prompt, frame)
    (s,) = prompts
    box = prompts[s].box
    assert box is not None
    left, top, right, bottom = box
    rows, cols = np.nonzero(to_pictures(upright.array, frame, nearest=True)[s])
    faces = (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)
    assert (left, top, right, bottom) == pytest.approx(faces, abs=0.51)


def test_any_two_opposite_corners_give_the_same_box() -> None:
    grid = stored((0, 1, 2), (1, 1, 1))[0].grid
    frame = make_frame(grid)
    first = slice_prompts(StudyPrompt(box=((2, 3, 1), (8, 9, 2))), frame)
    second = slice_prompts(StudyPrompt(box=((8, 3, 2), (2, 9, 1))), frame)
    assert {s: p.box for s, p in first.items()} == {s: p.box for s, p in second.items()}
    assert sorted(first) == [1, 2]


def test_a_click_on_a_finer_grid_is_the_same_place_in_mm() -> None:
    coarse = stored((0, 1, 2), (1, 1, 1))[0].grid
    fine = nib.affines.rescale_affine(coarse.affine_ras, SHAPE, (0.5, 0.5, 3.0), (80, 64, 5))
    volume = Volume(np.zeros((80, 64, 5), np.float32), fine)
    there = StudyPrompt(((5.0, 6.0, 2.0),)).on(volume.grid, coarse).foreground[0]
    mm = coarse.affine_ras @ (5, 6, 2, 1)
    assert volume.affine_ras @ (*there, 1) == pytest.approx(mm)


def test_clicks_beyond_the_first_and_last_slice_are_left_out() -> None:
    frame = make_frame(stored((0, 1, 2), (1, 1, 1))[0].grid)
    outside = StudyPrompt(((5, 5, -0.6), (5, 5, 4.6)))
    assert slice_prompts(outside, frame) == {}


def test_scribbles_are_points_on_the_label_and_beside_it() -> None:
    frame = make_frame(stored((0, 1, 2), (1, 1, 1))[0].grid)
    foreground = np.array([(float(i), 5.0, 2.0) for i in range(3, 9)])
    background = np.array([(float(i), 10.0, 2.0) for i in range(3, 9)])
    prompts = slice_prompts(StudyPrompt(scribbles=Scribbles(foreground, background)), frame)
    assert sorted(prompts) == [2]
    assert (len(prompts[2].foreground), len(prompts[2].background)) == (6, 6)


def test_of_a_long_scribble_few_points_count_and_of_clicks_all() -> None:
    frame = make_frame(stored((0, 1, 2), (1, 1, 1))[0].grid)
    many = tuple((float(i), float(j), 2.0) for i in range(10) for j in range(10))
    drawn = slice_prompts(StudyPrompt(scribbles=Scribbles(np.array(many))), frame)
    assert len(drawn[2].foreground) == 32
    assert len(slice_prompts(StudyPrompt(many), frame)[2].foreground) == 100


def test_clicks_within_one_voxel_or_one_pixel_are_one_point() -> None:
    frame = make_frame(stored((0, 1, 2), (1, 1, 1))[0].grid)  # a voxel is 12.8 px wide
    same_voxel = ((5.3, 6.2, 2.4), (4.7, 5.8, 1.6), (5.0, 6.0, 2.0), (5.0, 6.0, 2.0))
    (prompt,) = slice_prompts(StudyPrompt(same_voxel, same_voxel[:2]), frame).values()
    (alone,) = slice_prompts(StudyPrompt(same_voxel[3:], same_voxel[1:2]), frame).values()
    assert (prompt.foreground, prompt.background) == (alone.foreground, alone.background)
    fine = make_frame(Grid((512, 512, 5), np.eye(4)))  # a pixel is two voxels wide
    neighbours = ((8.0, 8.0, 2.0), (9.0, 8.0, 2.0), (10.0, 8.0, 2.0))
    assert len(slice_prompts(StudyPrompt(neighbours), fine)[2].foreground) == 2


def test_voxels_of_a_fine_scribble_that_lie_in_one_pixel_or_on_a_click_are_one_point() -> None:
    frame = make_frame(stored((0, 1, 2), (1, 1, 1))[0].grid)
    click = (5.0, 6.0, 2.0)
    drawn = Scribbles(np.array([click, click, (5.01, 6.0, 2.0), (9.0, 6.0, 2.0)]))
    (prompt,) = slice_prompts(StudyPrompt((click,), scribbles=drawn), frame).values()
    assert len(prompt.foreground) == 2


@pytest.mark.parametrize(
    ("box", "faces"),
    [
        (((-7, 3, 2), (5, 99, 2)), (14 * 12.8, 25, 256, 25 + 13 * 12.8125)),
        (((-1, -1, -9), (99, 99, 99)), (0, 25, 256, 230)),
        (((25, 4, 2), (19.4, 8, 2)), (0, 25 + 7 * 12.8125, 12.8, 25 + 12 * 12.8125)),
    ],
)
def test_a_box_is_cut_at_the_edge_of_the_image(
    box: tuple[Voxel, Voxel], faces: tuple[float, ...]
) -> None:
    """20×16 voxels fill 256×205 px below 25 px of padding: 12.8 px by 12.8125 px a voxel."""
    frame = make_frame(Grid(SHAPE, np.diag([2.0, 2.0, 3.0, 1.0])))
    assert slice_prompts(StudyPrompt(box=box), frame)[2].box == pytest.approx(faces)


def test_a_box_outside_the_image_is_on_no_slice() -> None:
    frame = make_frame(Grid(SHAPE, np.diag([2.0, 2.0, 3.0, 1.0])))
    for box in (((20, 0, 0), (30, 9, 4)), ((0, -9, 0), (9, -1, 4)), ((0, 0, 5), (9, 9, 9))):
        assert slice_prompts(StudyPrompt(box=box), frame) == {}


def test_a_mask_to_start_from_is_shown_on_its_own_slices() -> None:
    frame = make_frame(stored((0, 1, 2), (1, 1, 1))[0].grid)
    mask = np.zeros(SHAPE, np.bool_)
    mask[3:9, 5:8, 1:3] = True
    prompts = slice_prompts(StudyPrompt(initial_mask=mask), frame)
    assert sorted(prompts) == [1, 2]
    pictures = to_pictures(mask.astype(np.uint8), frame, nearest=True)
    assert prompts[1].initial_mask is not None
    assert np.array_equal(prompts[1].initial_mask, pictures[1] > 0)
