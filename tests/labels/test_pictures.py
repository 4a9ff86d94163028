"""Label maps become slice pictures without a shift, and no small lesion is lost."""

import os
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from zeus_app.labels.pictures import label_pictures
from zeus_app.studies.align import canonical
from zeus_app.studies.slices import make_frame, to_voxels
from zeus_app.types import BoolArray, Grid, Volume

real_root = Path(os.environ.get("ZEUS_REAL_DATA", "."))


def label(shape: tuple[int, int, int] = (12, 10, 3)) -> Volume:
    return Volume(np.zeros(shape, np.uint8), np.eye(4))


def test_each_class_has_its_own_channel_in_the_order_of_the_values() -> None:
    volume = label()
    volume.array[3, 4, 1] = 4
    volume.array[5, 6, 2] = 2
    pictures = label_pictures(volume, make_frame(volume.grid, 12), (2, 4))
    assert pictures.shape == (3, 2, 12, 12)
    assert pictures.dtype == np.uint8
    # 12 columns, 10 rows below 1 row of padding; right and anterior come first
    assert np.argwhere(pictures).tolist() == [[1, 1, 1 + 9 - 4, 11 - 3], [2, 0, 1 + 9 - 6, 11 - 5]]


def test_no_pixel_belongs_to_two_classes() -> None:
    volume = label((40, 30, 4))
    volume.array[:] = np.random.default_rng(0).integers(0, 4, volume.array.shape)
    for size in (16, 40, 64):
        pictures = label_pictures(volume, make_frame(volume.grid, size), (1, 2, 3))
        assert pictures.sum(axis=1).max() == 1


def test_classes_that_are_not_asked_for_are_left_out() -> None:
    volume = label()
    volume.array[:] = 3
    assert not label_pictures(volume, make_frame(volume.grid, 12), (1, 2)).any()


@pytest.mark.parametrize("size", [16, 24, 37, 63])
def test_a_lesion_of_one_voxel_never_vanishes_in_coarser_pictures(size: int) -> None:
    x, y = np.meshgrid(np.arange(2, 64, 9), np.arange(3, 64, 9), indexing="ij")
    volume = label((64, 64, 2))
    volume.array[x, y, 1] = 1
    pictures = label_pictures(volume, make_frame(volume.grid, size), (1,))
    assert pictures[1].sum() == x.size  # 49 lesions, 9 voxels apart: a pixel each


def test_a_lesion_that_touches_another_slice_still_gets_a_pixel_in_its_own() -> None:
    volume = label((64, 64, 3))
    volume.array[20:30, 20:30, 0] = 1
    volume.array[21, 21, 1] = 1
    pictures = label_pictures(volume, make_frame(volume.grid, 16), (1,))
    assert pictures[1].sum() == 1


def test_a_rescued_lesion_lies_where_it_was() -> None:
    volume = label((64, 64, 1))
    volume.array[8, 40, 0] = 1  # pixels of 4 voxels: column (63 - 8) // 4, row (63 - 40) // 4
    pictures = label_pictures(volume, make_frame(volume.grid, 16), (1,))
    assert np.argwhere(pictures[0, 0]).tolist() == [[5, 13]]


def tilted_ellipse(on: Grid, seed: int) -> BoolArray:
    """Anywhere near the middle, of any size and slant, so that nothing about it is even."""
    rng = np.random.default_rng(seed)
    (x0, y0), (width, height) = rng.uniform(0.35, 0.65, 2), rng.uniform(0.1, 0.3, 2)
    x, y, _ = np.meshgrid(*[(np.arange(n) + 0.5) / n for n in on.shape], indexing="ij")
    u, v = (x - x0) / width, (y - y0) / height
    return np.asarray(u**2 + v**2 + 0.8 * u * v < 1)


def there_and_back(mask: BoolArray, on: Grid, size: int) -> BoolArray:
    frame = make_frame(on, size)
    pictures = label_pictures(Volume(mask.astype(np.uint8), on.affine_ras), frame, (1,))
    return np.asarray(to_voxels(pictures[:, 0], frame) >= 0.5)


def dice(mask: BoolArray, other_mask: BoolArray) -> float:
    return float(2 * (mask & other_mask).sum() / (mask.sum() + other_mask.sum()))


def shift_voxels(mask: BoolArray, other_mask: BoolArray) -> npt.NDArray[np.float64]:
    return np.asarray(np.argwhere(other_mask).mean(axis=0) - np.argwhere(mask).mean(axis=0))


grids_and_sizes = pytest.mark.parametrize(
    ("shape", "spacing", "size"),
    [
        ((240, 240, 1), (1, 1, 1), 256),
        ((256, 256, 1), (1.25, 1.25, 7.7), 256),
        ((384, 384, 1), (0.5, 0.5, 3), 256),
        ((512, 512, 1), (0.4, 0.4, 3), 256),  # even factor: the nearest voxel is half a voxel off
        ((384, 300, 1), (0.5, 0.7, 3), 256),
        ((400, 100, 1), (0.5, 1.9, 3), 200),  # coarser along x, finer along y
        ((240, 240, 1), (1, 1, 1), 300),
    ],
)


@grids_and_sizes
def test_a_label_comes_back_from_pictures_of_any_size(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], size: int
) -> None:
    on = Grid(shape, np.diag([*spacing, 1.0]))
    for seed in range(20):
        mask = tilted_ellipse(on, seed)
        assert dice(mask, there_and_back(mask, on, size)) >= 0.985


@grids_and_sizes
def test_pictures_shift_labels_nowhere(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], size: int
) -> None:
    on = Grid(shape, np.diag([*spacing, 1.0]))
    masks = [tilted_ellipse(on, seed) for seed in range(20)]
    shifts = np.array([shift_voxels(mask, there_and_back(mask, on, size)) for mask in masks])
    assert np.abs(shifts.mean(axis=0)).max() < 0.05
    assert np.abs(shifts).max() < 0.2  # one mask's edges may fall unevenly between pixels


def test_a_pixel_of_four_voxels_belongs_to_the_class_of_most() -> None:
    volume = label((4, 4, 1))
    volume.array[2:, 2:, 0] = [[1, 1], [1, 0]]  # the upper left pixel
    volume.array[1, 2, 0] = 1  # a quarter of the upper right one, joined to the first
    pictures = label_pictures(volume, make_frame(volume.grid, 2), (1,))
    assert pictures[0, 0].tolist() == [[1, 0], [0, 0]]


def test_a_pixel_half_class_and_half_background_belongs_to_the_class() -> None:
    volume = label((4, 4, 1))
    volume.array[1:3, :, 0] = 1  # half of both columns of pixels
    pictures = label_pictures(volume, make_frame(volume.grid, 2), (1,))
    assert pictures[0, 0].tolist() == [[1, 1], [1, 1]]


def test_a_rescued_lesion_lies_at_its_middle() -> None:
    volume = label((64, 64, 1))
    volume.array[3:8, 40, 0] = 1  # a voxel in the pixel of x 0 to 3, four in that of x 4 to 7
    pictures = label_pictures(volume, make_frame(volume.grid, 16), (1,))
    assert np.argwhere(pictures[0, 0]).tolist() == [[5, 14]]


def _load(path: Path) -> Volume:
    image = nibabel.load(path)
    return canonical(Volume(np.asarray(image.dataobj).astype(np.uint8), image.affine))


@pytest.mark.real
@pytest.mark.parametrize(
    ("pattern", "values"),
    [
        ("abdomen/*/label.nii.gz", (1, 2, 3, 4)),
        ("prostate/*/labels/*whole_gland*.nii.gz", (1,)),
        ("ms_lesion/*/*_gt.nii.gz", (1,)),
    ],
)
def test_real_labels_come_back_from_256_pixels(pattern: str, values: tuple[int, ...]) -> None:
    paths = sorted(real_root.glob(pattern))
    assert paths
    for path in paths:
        volume = _load(path)
        frame = make_frame(volume.grid)
        pictures = label_pictures(volume, frame, values)
        for k, value in enumerate(values):
            there, back = volume.array == value, to_voxels(pictures[:, k], frame) >= 0.5
            assert dice(there, back) >= 0.98, (path, value)


@pytest.mark.real
def test_no_real_lesion_vanishes_from_small_pictures() -> None:
    in_plane = ndimage.generate_binary_structure(3, 1)
    in_plane[1, 1, [0, 2]] = False
    for path in sorted(real_root.glob("ms_lesion/*/*_gt.nii.gz")):
        volume = _load(path)
        pictures = label_pictures(volume, make_frame(volume.grid, 96), (1,))
        _, count = ndimage.label(volume.array, structure=in_plane)
        with_lesion = (volume.array > 0).any(axis=(0, 1))
        np.testing.assert_array_equal(pictures.any(axis=(1, 2, 3)), with_lesion)
        assert count > 100
