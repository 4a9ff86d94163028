import os
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from zeus_app.studies.align import align
from zeus_app.studies.slices import make_frame, slice_stack, to_pictures, to_pixels, to_voxels
from zeus_app.types import BoolArray, Grid, Study, Volume

real_root = Path(os.environ.get("ZEUS_REAL_DATA", "."))


def grid(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float] = (1, 1, 1)) -> Grid:
    return Grid(shape, np.diag([*spacing_mm, 1.0]))


def blob(on: Grid) -> BoolArray:
    """A smooth shape without any symmetry, in mm, well inside the grid."""
    centres = [(np.arange(n) + 0.5) / n for n in on.shape]
    x, y, z = np.meshgrid(*centres, indexing="ij")
    large = ((x - 0.6) / 0.25) ** 2 + ((y - 0.45) / 0.3) ** 2 + ((z - 0.5) / 0.6) ** 2 < 1
    small = ((x - 0.3) / 0.12) ** 2 + ((y - 0.7) / 0.1) ** 2 + ((z - 0.5) / 0.6) ** 2 < 1
    return np.asarray(large | small)


def centroid(mask: BoolArray) -> npt.NDArray[np.float64]:
    centre: npt.NDArray[np.float64] = np.argwhere(mask).mean(axis=0)
    return centre


def dice(mask: BoolArray, other_mask: BoolArray) -> float:
    return float(2 * (mask & other_mask).sum() / (mask.sum() + other_mask.sum()))


def head(on: Grid, *, background: float, seed: int = 0) -> Volume:
    array = np.full(on.shape, background, dtype=np.float32)
    inside = blob(on)
    array[inside] = np.random.default_rng(seed).normal(0, 0.5, inside.sum())
    return Volume(array, on.affine_ras)


def test_a_wide_grid_fills_the_width_and_is_padded_above_and_below() -> None:
    frame = make_frame(grid((240, 120, 5)))
    assert (frame.cols_px, frame.left_px) == (256, 0)
    assert (frame.rows_px, frame.top_px) == (128, 64)


def test_millimetres_stay_square_when_voxels_are_not() -> None:
    frame = make_frame(grid((100, 200, 5), (1.0, 0.5, 3.0)))  # 100 mm by 100 mm
    assert (frame.rows_px, frame.cols_px) == (256, 256)


def test_the_longer_side_in_mm_fills_the_picture_even_with_fewer_voxels() -> None:
    frame = make_frame(grid((200, 50, 5), (0.5, 4.0, 3.0)), size=64)  # 100 mm by 200 mm
    assert (frame.rows_px, frame.cols_px, frame.top_px, frame.left_px) == (64, 32, 0, 16)


@pytest.mark.parametrize("nearest", [True, False])
def test_the_patients_right_is_at_the_left_edge_and_anterior_on_top(nearest: bool) -> None:
    array = np.zeros((8, 8, 2), dtype=np.float32)
    array[7, 7, 1] = 1  # rightmost, most anterior, upper slice of a RAS grid
    array[0, 7, 1] = 2  # leftmost, most anterior
    array[7, 0, 1] = 3  # rightmost, most posterior
    pictures = to_pictures(array, make_frame(grid((8, 8, 2)), 8), nearest=nearest)
    assert pictures[1, 0, 0] == 1
    assert pictures[1, 0, 7] == 2
    assert pictures[1, 7, 0] == 3
    assert not pictures[0].any()


@pytest.mark.parametrize("nearest", [True, False])
@given(
    x=st.integers(1, 24), y=st.integers(1, 24), slices=st.integers(1, 4), seed=st.integers(0, 99)
)
@settings(max_examples=30, deadline=None)
def test_pictures_as_fine_as_the_grid_hold_and_return_every_voxel_exactly(
    nearest: bool, x: int, y: int, slices: int, seed: int
) -> None:
    array = np.random.default_rng(seed).random((x, y, slices), dtype=np.float32)
    frame = make_frame(grid((x, y, slices)), max(x, y))
    np.testing.assert_array_equal(
        to_voxels(to_pictures(array, frame, nearest=nearest), frame), array
    )


def test_padding_holds_the_fill_and_never_comes_back() -> None:
    frame = make_frame(grid((10, 5, 1)), 20)
    pictures = to_pictures(np.ones((10, 5, 1)), frame, nearest=False, fill=-7)
    assert (pictures == -7).sum() == 200
    np.testing.assert_array_equal(to_voxels(pictures, frame), 1)


@pytest.mark.parametrize("shape", [(20, 13, 3), (13, 20, 3)])
@pytest.mark.parametrize("size", [60, 47])
def test_enlarged_pictures_are_what_simpleitk_interpolates(
    shape: tuple[int, int, int], size: int
) -> None:
    array = np.random.default_rng(0).random(shape, dtype=np.float32)
    frame = make_frame(grid(shape), size)
    image = sitk.GetImageFromArray(array[::-1, ::-1].transpose(2, 1, 0).copy())
    step = np.array([shape[0] / frame.cols_px, shape[1] / frame.rows_px, 1.0])  # voxels a pixel
    expected = sitk.Resample(
        image,
        (frame.cols_px, frame.rows_px, shape[2]),
        sitk.Transform(),
        sitk.sitkLinear,
        ((step - 1) / 2).tolist(),  # the first pixel's outer corner is the first voxel's
        step.tolist(),
        np.eye(3).ravel().tolist(),
    )
    pictures = to_pictures(array, frame, nearest=False)
    rows = slice(frame.top_px, frame.top_px + frame.rows_px)
    cols = slice(frame.left_px, frame.left_px + frame.cols_px)
    content = pictures[:, rows, cols].astype(np.float32)
    np.testing.assert_allclose(content, sitk.GetArrayFromImage(expected), atol=1e-4)


def test_shrinking_averages_instead_of_skipping_voxels() -> None:
    checkers = np.indices((64, 64, 1)).sum(axis=0) % 2
    pictures = to_pictures(checkers, make_frame(grid((64, 64, 1)), 16), nearest=False)
    np.testing.assert_allclose(pictures.astype(np.float32), 0.5, atol=0.02)


@pytest.mark.parametrize("size", [128, 150, 200, 256, 300, 512])
@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((240, 240, 8), (1, 1, 1)), ((182, 218, 6), (1, 1, 1)), ((512, 300, 4), (0.4, 0.7, 3))],
)
def test_a_probability_comes_back_from_pictures_of_any_size_unmoved(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], size: int
) -> None:
    on = grid(shape, spacing)
    frame = make_frame(on, size)
    label = blob(on)
    back = to_voxels(to_pictures(label, frame, nearest=False), frame) >= 0.5
    assert dice(label, back) >= 0.98
    assert np.abs(centroid(label) - centroid(back)).max() < 0.1


@pytest.mark.parametrize("size", [200, 256, 400])
def test_masks_enlarged_twofold_or_more_come_back_exactly(size: int) -> None:
    on = grid((84, 100, 6), (2, 2, 3))
    frame = make_frame(on, size)
    pictures = to_pictures(blob(on).astype(np.uint8), frame, nearest=True)
    np.testing.assert_array_equal(to_voxels(pictures, frame) >= 0.5, blob(on))


@pytest.mark.parametrize("size", [60, 100])
def test_shrinking_a_ramp_and_back_shifts_it_nowhere(size: int) -> None:
    y = np.broadcast_to(np.arange(120.0)[None, :, None], (90, 120, 2))
    frame = make_frame(grid((90, 120, 2)), size)
    error = (to_voxels(to_pictures(y, frame, nearest=False), frame) - y)[6:-6, 6:-6]
    assert abs(error.mean()) < 0.005
    assert np.abs(error).max() < 0.1


@pytest.mark.parametrize("size", [120, 256, 400])
def test_a_linear_ramp_keeps_its_value_at_every_inner_voxel(size: int) -> None:
    x, y, _ = np.meshgrid(np.arange(90.0), np.arange(120.0), np.arange(2.0), indexing="ij")
    frame = make_frame(grid((90, 120, 2)), size)
    back = to_voxels(to_pictures(x + 1000 * y, frame, nearest=False), frame)
    inner = (slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(back[inner], (x + 1000 * y)[inner], atol=10)  # 0.01 voxel in y


def test_leading_axes_of_pictures_are_kept() -> None:
    frame = make_frame(grid((6, 4, 3)), 12)
    pictures = np.zeros((2, 5, 3, 12, 12), dtype=np.float32)
    pictures[1, 4] = 1
    voxels = to_voxels(pictures, frame)
    assert voxels.shape == (2, 5, 6, 4, 3)
    assert voxels[1, 4].min() == 1
    assert voxels.sum() == 6 * 4 * 3


def test_a_point_lies_on_the_pixel_that_shows_its_voxel() -> None:
    array = np.zeros((30, 20, 3), dtype=np.uint8)
    array[4, 17, 2] = 1
    frame = make_frame(grid((30, 20, 3)), 90)  # three pixels a voxel, 15 rows of padding
    s, row, col = to_pixels(np.array([[4.0, 17.0, 2.0]]), frame)[0]
    indices = np.argwhere(to_pictures(array, frame, nearest=True))
    assert (s, row, col) == pytest.approx(tuple(indices.mean(axis=0)))


def test_a_missing_sequence_is_zeros_without_tissue() -> None:
    on = grid((32, 24, 6))
    stack = slice_stack(align(Study("s", {"T2": head(on, background=-3)}), "T2"), ("T1", "T2"), 64)
    assert stack.sequences == ("T1", "T2")
    assert stack.pixels.shape == (2, 6, 64, 64)
    assert not stack.pixels[0].any()
    assert not stack.tissue[0].any()
    assert stack.tissue[1].any()


def test_slices_without_tissue_are_zeros() -> None:
    on = grid((32, 32, 6))
    volume = head(on, background=-3)
    volume.array[:, :, 4:] = -3
    stack = slice_stack(align(Study("s", {"T2": volume}), "T2"), ("T2",), 64)
    assert stack.tissue[0].tolist() == [True] * 4 + [False] * 2
    assert not stack.pixels[0, 4:].any()


@pytest.mark.parametrize(("voxels", "counts"), [(7, False), (9, True)])
def test_a_slice_counts_from_half_a_percent_of_tissue(voxels: int, counts: bool) -> None:
    array = np.zeros((40, 40, 4), dtype=np.float32)  # half a percent of a slice: 8 voxels
    array[5:35, 5:35, 0] = 100
    array[20, 10 : 10 + voxels, 2] = 100
    stack = slice_stack(align(Study("s", {"T2": Volume(array, np.eye(4))}), "T2"), ("T2",), 40)
    assert stack.tissue[0].tolist() == [True, False, counts, False]


@pytest.mark.parametrize("background", [-3.0, 0.0])
def test_background_and_padding_are_black_whatever_their_value(background: float) -> None:
    on = grid((32, 24, 6))
    aligned = align(Study("s", {"T2": head(on, background=background)}), "T2")
    stack = slice_stack(aligned, ("T2",), 32)
    tissue = to_pictures(blob(on).astype(np.uint8), stack.frame, nearest=True)
    assert not stack.pixels[0][tissue == 0].any()


def test_the_window_spans_the_percentiles_of_the_tissue() -> None:
    on = grid((32, 32, 6))
    volume = head(on, background=-3)
    low, high = np.percentile(volume.array[blob(on)].astype(np.float32), (0.5, 99.5))
    stack = slice_stack(align(Study("s", {"T2": volume}), "T2"), ("T2",), 32)
    x, y, z = np.argwhere(blob(on))[200]
    expected = np.clip((volume.array[x, y, z] - low) / (high - low), 0, 1)
    assert stack.pixels[0, z, 31 - y, 31 - x] == pytest.approx(expected, abs=1e-5)


def test_pixels_are_float32_between_0_and_1() -> None:
    on = grid((32, 24, 6))
    stack = slice_stack(align(Study("s", {"T2": head(on, background=-3)}), "T2"), ("T2",), 32)
    assert stack.pixels.dtype == np.float32
    assert (stack.pixels.min(), stack.pixels.max()) == (0, 1)


def test_tissue_of_a_single_value_is_shown_white() -> None:
    on = grid((32, 32, 6))
    volume = Volume(blob(on).astype(np.float32) * 50, on.affine_ras)
    stack = slice_stack(align(Study("s", {"T2": volume}), "T2"), ("T2",), 32)
    expected = to_pictures(blob(on).astype(np.float32), stack.frame, nearest=True)
    np.testing.assert_array_equal(stack.pixels[0], expected)


def test_a_study_of_one_slice_becomes_one_picture() -> None:
    on = grid((32, 24, 1), (1, 1, 5))
    stack = slice_stack(align(Study("s", {"T2": head(on, background=-3)}), "T2"), ("T2",), 64)
    assert stack.pixels.shape == (1, 1, 64, 64)
    assert stack.tissue.tolist() == [[True]]


def test_a_volume_of_one_voxel_in_plane_becomes_pictures_of_its_value() -> None:
    narrow = grid((1, 1, 3))
    pictures = to_pictures(np.array([[[1.0, 2.0, 3.0]]], np.float32), make_frame(narrow, 4),
                           nearest=False)  # fmt: skip
    np.testing.assert_array_equal(pictures, np.ones((3, 4, 4)) * [[[1]], [[2]], [[3]]])


def test_a_constant_sequence_shows_nothing() -> None:
    volume = Volume(np.full((16, 16, 3), 4, dtype=np.float32), np.eye(4))
    stack = slice_stack(align(Study("s", {"T2": volume}), "T2"), ("T2",), 16)
    assert not stack.tissue.any()
    assert not stack.pixels.any()


def _load(path: Path) -> Volume:
    image = nibabel.load(path)
    return Volume(np.asarray(image.dataobj, dtype=np.float32), image.affine)


@pytest.mark.real
def test_no_labelled_slice_of_the_real_abdomens_is_skipped() -> None:
    for folder in sorted(real_root.glob("abdomen/chaos_*")):
        study = Study(folder.name, {n: _load(folder / f"{n}.nii.gz") for n in ("t2spir", "label")})
        aligned = align(study, "t2spir")
        stack = slice_stack(aligned, ("t2spir",))
        labelled = (aligned.volumes["label"].array > 0).any(axis=(0, 1))
        assert stack.tissue[0][labelled].all(), folder


@pytest.mark.real
def test_every_slice_of_all_real_prostate_sequences_is_tissue() -> None:
    folder = real_root / "prostate" / "ProstateX-0000"
    names = ("t2w", "adc", "hbv")
    study = Study("p", {n: _load(folder / f"ProstateX-0000_{n}.nii.gz") for n in names})
    assert slice_stack(align(study, "t2w"), names).tissue.all()


@pytest.mark.real
def test_the_real_liver_lies_in_the_left_half_of_the_pictures() -> None:
    for folder in sorted(real_root.glob("abdomen/chaos_*")):
        aligned = align(Study("l", {"label": _load(folder / "label.nii.gz")}), "label")
        frame = make_frame(aligned.grid)
        pictures = to_pictures(aligned.volumes["label"].array, frame, nearest=True)
        columns = {value: np.argwhere(pictures == value)[:, 2].mean() for value in (1, 2, 3, 4)}
        assert columns[1] < 128 < columns[4], folder  # liver, spleen
        assert columns[2] < columns[3], folder  # right kidney, left kidney
