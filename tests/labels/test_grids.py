"""A label must lie on its image's grid and hold the target's values."""

import nibabel
import numpy as np
import pytest

from zeus_app.errors import InputError
from zeus_app.labels.grids import check_label, in_order_of, ml_outside
from zeus_app.types import Affine, Grid, Volume


def label(shape: tuple[int, int, int] = (12, 10, 3), affine_ras: Affine | None = None) -> Volume:
    array = np.zeros(shape, dtype=np.uint8)
    return Volume(array, np.eye(4) if affine_ras is None else affine_ras)


def shifted(mm: float) -> Affine:
    affine_ras = np.eye(4)
    affine_ras[0, 3] = mm
    return affine_ras


def test_a_label_on_its_image_with_known_values_is_accepted() -> None:
    volume = label()
    volume.array[2:5] = 3
    check_label(volume, volume.grid, (1, 3))


def test_a_label_without_any_class_is_accepted() -> None:
    check_label(label(), label().grid, (1,))


def test_a_label_stored_as_float_is_accepted_when_its_values_are_whole() -> None:
    check_label(Volume(np.ones((4, 4, 4)), np.eye(4)), Grid((4, 4, 4), np.eye(4)), (1,))


def test_a_label_of_another_shape_is_refused_with_both_shapes() -> None:
    with pytest.raises(InputError, match=r"12×10×3.*12×10×4"):
        check_label(label(), Grid((12, 10, 4), np.eye(4)), (1,))


def test_a_flat_label_is_refused_with_both_shapes() -> None:
    flat = Volume(np.zeros((12, 10), dtype=np.uint8), np.eye(4))
    with pytest.raises(InputError, match=r"12×10\. Expected.*12×10×3"):
        check_label(flat, label().grid, (1,))


def test_an_unknown_class_is_refused_with_its_value_and_the_targets() -> None:
    volume = label()
    volume.array[0, 0, 0] = 7
    with pytest.raises(InputError, match=r"7\. Expected: 0 for background and 1, 2"):
        check_label(volume, volume.grid, (1, 2))


def test_a_fraction_is_no_class() -> None:
    volume = Volume(np.full((4, 4, 4), 0.5, dtype=np.float32), np.eye(4))
    with pytest.raises(InputError, match=r"0\.5\. Expected"):
        check_label(volume, volume.grid, (1,))


def test_nan_is_no_class() -> None:
    volume = Volume(np.full((4, 4, 4), np.nan, dtype=np.float32), np.eye(4))
    with pytest.raises(InputError, match="nan"):
        check_label(volume, volume.grid, (1,))


def test_many_unknown_values_are_cut_short() -> None:
    volume = Volume(np.arange(64, dtype=np.uint8).reshape(4, 4, 4), np.eye(4))
    with pytest.raises(InputError, match="11 and 52 more"):
        check_label(volume, volume.grid, (1,))


def test_a_label_shifted_by_a_voxel_is_refused_with_both_grids() -> None:
    volume = label(affine_ras=shifted(1.0))
    with pytest.raises(InputError, match=r"RAS \(1\.0, 0\.0, 0\.0\).*RAS \(0\.0, 0\.0, 0\.0\)"):
        check_label(volume, label().grid, (1,))


def test_a_flipped_label_is_refused_with_both_orientations() -> None:
    volume = label(affine_ras=np.diag([-1.0, 1, 1, 1]))
    with pytest.raises(InputError, match=r"axes LAS.*axes RAS"):
        check_label(volume, label().grid, (1,))


def test_a_label_without_a_place_is_refused() -> None:
    with pytest.raises(InputError, match="axes unknown"):
        check_label(label(affine_ras=np.full((4, 4), np.nan)), label().grid, (1,))


def corner() -> tuple[Volume, nibabel.Nifti1Image]:
    """An asymmetric mark on a square 24×24×6 grid, as a label and as nibabel's image of it."""
    affine_ras = np.diag([2.0, 2.0, 3.0, 1.0])
    affine_ras[:3, 3] = [-10, -12, 5]
    array = np.zeros((24, 24, 6), np.uint8)
    array[2:5, 3, 4], array[2, 7, 4] = 1, 2
    return Volume(array, affine_ras), nibabel.Nifti1Image(array, affine_ras)


@pytest.mark.parametrize(
    "order",
    [
        [[0, -1], [1, 1], [2, 1]],  # x flipped
        [[1, 1], [0, 1], [2, 1]],  # x and y swapped
        [[1, -1], [0, 1], [2, -1]],  # swapped, and two flipped
        [[2, 1], [0, -1], [1, 1]],  # slices first
    ],
)
def test_a_label_in_another_storage_order_is_turned_voxel_for_voxel(order: list[list[int]]) -> None:
    volume, image = corner()
    turned = image.as_reoriented(np.array(order))
    stored = Volume(np.asarray(turned.dataobj), turned.affine)
    assert not stored.grid.matches(volume.grid)
    back = in_order_of(stored, volume.grid)
    np.testing.assert_array_equal(back.array, volume.array)
    check_label(back, volume.grid, (1, 2))


def test_a_turned_label_whose_affine_was_rounded_is_turned_all_the_same() -> None:
    volume, image = corner()
    turned = image.as_reoriented(np.array([[1, -1], [0, 1], [2, 1]]))
    affine_ras = turned.affine.copy()
    affine_ras[:3, 3] += 0.1  # a twentieth of a voxel
    back = in_order_of(Volume(np.asarray(turned.dataobj), affine_ras), volume.grid)
    np.testing.assert_array_equal(back.array, volume.array)


def test_a_label_that_lies_elsewhere_is_not_turned() -> None:
    volume, _ = corner()
    elsewhere = Volume(volume.array, np.diag([-1.0, 1, 1, 1]) @ volume.affine_ras)
    assert in_order_of(elsewhere, volume.grid) is elsewhere


def test_an_affine_rounded_by_another_program_is_accepted() -> None:
    check_label(label(affine_ras=shifted(0.02)), label().grid, (1,))


def test_labelled_voxels_outside_of_another_grid_are_counted_in_ml() -> None:
    volume = label((12, 10, 3), np.diag([2.0, 1.0, 5.0, 1.0]))
    volume.array[:, 0, 0] = 1  # x at 0, 2, ..., 22 mm
    other = Grid((4, 10, 3), np.diag([4.0, 1.0, 5.0, 1.0]))  # voxels from -2 to 14 mm
    # Inside: 0 to 14 mm, whose last centre lies on the face. Outside: 16, 18, 20 and 22 mm.
    assert ml_outside(volume, other) == pytest.approx(4 * 2 * 1 * 5 / 1000)
    assert ml_outside(volume, volume.grid) == 0
