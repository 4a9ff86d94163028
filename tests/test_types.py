import numpy as np
import pytest

from zeus_app.types import MACHINE_MADE, Affine, Grid, Instruction, Segmentation, Volume

IDENTITY = np.eye(4)


def scaled(*spacing_mm: float) -> Affine:
    return np.diag([*spacing_mm, 1.0])


def shifted(mm: float) -> Affine:
    affine = np.eye(4)
    affine[0, 3] = mm
    return affine


def test_spacing_is_the_length_of_the_affine_s_columns() -> None:
    turned = np.array([[0, -3, 0, 0], [4, 0, 0, 0], [0, 0, 5, 0], [0, 0, 0, 1]], dtype=float)
    assert Grid((2, 2, 2), turned).spacing_mm == pytest.approx((4, 3, 5))


def test_a_voxel_of_two_by_two_by_five_millimetres_holds_a_fiftieth_of_a_millilitre() -> None:
    assert Grid((1, 1, 1), scaled(2, 2, 5)).voxel_ml == pytest.approx(0.02)


def test_a_flipped_axis_leaves_the_volume_of_a_voxel_positive() -> None:
    assert Grid((1, 1, 1), scaled(-1, 1, 1)).voxel_ml == pytest.approx(0.001)


def test_a_grid_matches_itself() -> None:
    assert Grid((4, 5, 6), scaled(1, 2, 3)).matches(Grid((4, 5, 6), scaled(1, 2, 3)))


def test_grids_of_different_shape_do_not_match() -> None:
    assert not Grid((4, 5, 6), IDENTITY).matches(Grid((4, 5, 7), IDENTITY))


def test_a_shift_below_the_tolerance_is_forgiven() -> None:
    here, there = Grid((4, 4, 4), IDENTITY), Grid((4, 4, 4), shifted(0.5))
    assert here.matches(there, tolerance_mm=0.6)
    assert not here.matches(there, tolerance_mm=0.4)


def test_a_small_difference_in_spacing_counts_at_the_far_corner() -> None:
    here, there = Grid((101, 2, 2), IDENTITY), Grid((101, 2, 2), scaled(1.01, 1, 1))
    assert not here.matches(there, tolerance_mm=0.99)  # 100 voxels · 0.01 mm = 1 mm apart
    assert here.matches(there, tolerance_mm=1.01)


def test_a_grid_prints_what_a_user_needs_to_compare_two() -> None:
    affine = scaled(0.5, 0.5, 3)
    affine[:3, 3] = (-90, -126, -72)
    text = str(Grid((384, 384, 19), affine))
    assert text == "384×384×19 voxels of 0.5×0.5×3 mm, first voxel at RAS (-90.0, -126.0, -72.0) mm"


def test_a_volume_knows_the_grid_it_lies_on() -> None:
    volume = Volume(np.zeros((2, 3, 4), dtype=np.float32), scaled(1, 2, 3))
    assert volume.grid.shape == (2, 3, 4)
    assert volume.grid.spacing_mm == pytest.approx((1, 2, 3))


def instruction(model: str) -> Instruction:
    return Instruction(sequence="T2", label="lesion", slice_index=None, text="x", model=model)


@pytest.mark.parametrize("model", ["smollm2-135m", "template"])
def test_a_machine_s_text_carries_the_notice(model: str) -> None:
    assert instruction(model).notice == MACHINE_MADE


def test_a_user_s_own_text_carries_no_notice() -> None:
    assert instruction("user").notice == ""


def segmentation(checkpoint: str) -> Segmentation:
    empty = Volume(np.zeros((1, 1, 1), dtype=np.uint8), IDENTITY)
    return Segmentation(
        study_id="s", label_map=empty, sequence_label_maps={}, instructions=(), used=(),
        missing=(), agreement={}, volumes_ml={}, latencies_ms={}, checkpoint=checkpoint,
    )  # fmt: skip


def test_an_answer_without_a_checkpoint_is_untrained() -> None:
    assert segmentation("untrained").untrained
    assert not segmentation("v0001").untrained
