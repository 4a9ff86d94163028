import os
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nibabel.eulerangles import euler2mat

from zeus_app.errors import InputError
from zeus_app.studies.align import align, canonical, field_of_view, to_grid
from zeus_app.types import Affine, FloatArray, Grid, Study, Volume

real_root = Path(os.environ.get("ZEUS_REAL_DATA", "."))

Axes = tuple[int, ...]
Signs = tuple[int, ...]
Three = tuple[float, float, float]
Shape = tuple[int, int, int]

ORIENTATIONS = [
    (axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)
]
shapes = st.tuples(*[st.integers(1, 7)] * 3)
spacings = st.tuples(*[st.floats(0.4, 6.0)] * 3)
small_angles = st.tuples(*[st.integers(-400, 400).map(lambda n: n / 1000)] * 3)  # rad; no
# denormal numbers, on which SimpleITK's own singular value decomposition gives up
origins = st.tuples(*[st.floats(-150, 150)] * 3)


def affine(
    spacing: tuple[float, ...] = (1, 1, 1),
    origin: tuple[float, ...] = (0, 0, 0),
    angles: tuple[float, ...] = (0, 0, 0),
) -> Affine:
    matrix: Affine = nibabel.affines.from_matvec(euler2mat(*angles) @ np.diag(spacing), origin)
    return matrix


def reoriented(volume: Volume, axes: Axes, signs: Signs) -> Volume:
    """The same voxels stored in another order, worked out with transpose and slicing alone."""
    array = volume.array.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for new, (old, sign) in enumerate(zip(axes, signs, strict=True)):
        matrix[old, new] = sign
        matrix[old, 3] = 0 if sign == 1 else array.shape[new] - 1
    return Volume(array, volume.affine_ras @ matrix)


def to_sitk(volume: Volume) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array.transpose(2, 1, 0)))
    lps = np.diag([-1, -1, 1, 1]) @ volume.affine_ras
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def sitk_resampled(volume: Volume, grid: Grid, interpolator: int) -> FloatArray:
    reference = to_sitk(Volume(np.zeros(grid.shape, dtype=np.uint8), grid.affine_ras))
    moved = sitk.Resample(to_sitk(volume), reference, sitk.Transform(), interpolator, 99)
    array: FloatArray = sitk.GetArrayFromImage(moved).transpose(2, 1, 0)
    return array


def source_indices(volume: Volume, grid: Grid) -> npt.NDArray[np.float64]:
    """(X, Y, Z, 3) index into `volume` of every voxel centre of `grid`."""
    voxels = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    mm = nibabel.affines.apply_affine(grid.affine_ras, voxels)
    indices: npt.NDArray[np.float64] = nibabel.affines.apply_affine(
        np.linalg.inv(volume.affine_ras), mm
    )
    return indices


def numbered(shape: tuple[int, int, int], affine_ras: Affine | None = None) -> Volume:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return Volume(array, affine() if affine_ras is None else affine_ras)


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_canonical_is_what_nibabel_makes_of_any_orientation(axes: Axes, signs: Signs) -> None:
    stored = reoriented(numbered((3, 4, 5), affine((1, 2, 3), (10, -20, 30))), axes, signs)
    expected = nibabel.as_closest_canonical(nibabel.Nifti1Image(stored.array, stored.affine_ras))
    turned = canonical(stored)
    np.testing.assert_array_equal(turned.array, np.asarray(expected.dataobj))
    np.testing.assert_allclose(turned.affine_ras, expected.affine, atol=1e-9)


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
@given(shape=shapes, spacing=spacings, angles=small_angles, origin=origins, data=st.data())
@settings(max_examples=5, deadline=None)
def test_a_label_survives_the_way_to_the_canonical_grid_and_back_in_any_orientation(
    axes: Axes,
    signs: Signs,
    shape: Shape,
    spacing: Three,
    angles: Three,
    origin: Three,
    data: st.DataObject,
) -> None:
    label = data.draw(arrays(np.uint8, shape))
    stored = reoriented(Volume(label, affine(spacing, origin, angles)), axes, signs)
    back = to_grid(canonical(stored), stored.grid, order=0, fill=0)
    np.testing.assert_array_equal(back.array, stored.array)
    assert back.grid.matches(stored.grid)


@given(
    shape=shapes, onto=shapes, spacing=spacings, onto_spacing=spacings,
    angles=small_angles, onto_angles=small_angles, shift=st.tuples(*[st.floats(-8, 8)] * 3),
    orientation=st.sampled_from(ORIENTATIONS), seed=st.integers(0, 999),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_nearest_and_linear_look_ups_agree_with_simpleitk(
    shape: Shape,
    onto: Shape,
    spacing: Three,
    onto_spacing: Three,
    angles: Three,
    onto_angles: Three,
    shift: Three,
    orientation: tuple[Axes, Signs],
    seed: int,
) -> None:
    array = np.random.default_rng(seed).integers(1, 90, shape).astype(np.float32)
    volume = reoriented(Volume(array, affine(spacing, (0, 0, 0), angles)), *orientation)
    grid = Grid(onto, affine(onto_spacing, shift, onto_angles))
    indices = source_indices(volume, grid)
    clear = (np.abs(indices - np.floor(indices) - 0.5) > 2e-3).all(axis=-1)  # no ties, no edges
    for order, interpolator in ((0, sitk.sitkNearestNeighbor), (1, sitk.sitkLinear)):
        ours = to_grid(volume, grid, order=order, fill=99).array
        theirs = sitk_resampled(volume, grid, interpolator)
        np.testing.assert_allclose(ours[clear], theirs[clear], atol=1e-2)


def test_linear_look_up_halfway_between_two_voxels_is_their_mean() -> None:
    volume = Volume(np.array([10, 20, 40], dtype=np.float32).reshape(3, 1, 1), affine())
    halfway = Grid((2, 1, 1), affine(origin=(0.5, 0, 0)))
    moved = to_grid(volume, halfway, order=1, fill=0)
    np.testing.assert_allclose(moved.array.ravel(), [15, 30])


@pytest.mark.parametrize("noise", [-1e-12, 0.0, 1e-12])
def test_midway_between_two_voxels_the_higher_one_is_nearest_whatever_the_rounding(
    noise: float,
) -> None:
    volume = numbered((4, 1, 1))
    midway = Grid((3, 1, 1), affine(origin=(0.5 + noise, 0, 0)))
    np.testing.assert_array_equal(to_grid(volume, midway, order=0, fill=9).array.ravel(), [1, 2, 3])


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("noise", [-1e-7, 0.0, 1e-7])
def test_a_centre_on_the_outer_face_of_a_volume_is_inside(order: int, noise: float) -> None:
    volume = Volume(np.full((4, 4, 4), 5, dtype=np.float32), affine((2, 2, 2)))
    fine = Grid((9, 9, 9), affine(origin=(-1 + noise,) * 3))  # from face to face: -1 to 7 mm
    np.testing.assert_array_equal(to_grid(volume, fine, order=order, fill=0).array, 5)


def test_what_lies_beyond_half_a_voxel_is_filled() -> None:
    volume = Volume(np.full((2, 1, 1), 5, dtype=np.float32), affine())
    wide = Grid((5, 1, 1), affine(origin=(-1.2, 0, 0)))  # x = -1.2, -0.2, 0.8, 1.8, 2.8
    np.testing.assert_array_equal(
        to_grid(volume, wide, order=1, fill=-3).array.ravel(), [-3, 5, 5, -3, -3]
    )


@pytest.mark.parametrize("z_mm", [-2.4, -1.0, 0.0, 2.4])
@pytest.mark.parametrize("order", [0, 1])
def test_a_plane_within_a_single_thick_slice_shows_that_slice(z_mm: float, order: int) -> None:
    volume = numbered((4, 5, 1), affine((1, 1, 5)))
    plane = Grid((4, 5, 1), affine((1, 1, 1), (0, 0, z_mm)))
    np.testing.assert_allclose(to_grid(volume, plane, order=order, fill=-1).array, volume.array)


def test_a_plane_outside_a_single_slice_is_filled() -> None:
    plane = Grid((4, 5, 1), affine((1, 1, 1), (0, 0, 2.6)))
    moved = to_grid(numbered((4, 5, 1), affine((1, 1, 5))), plane, order=1, fill=-1)
    np.testing.assert_array_equal(moved.array, -1)


def test_a_label_keeps_its_dtype_on_another_grid() -> None:
    label = Volume(np.ones((4, 4, 4), dtype=np.uint8), affine())
    assert to_grid(label, Grid((8, 8, 8), affine((0.5,) * 3)), order=0, fill=0).array.dtype == "u1"


def test_the_field_of_view_is_what_lies_within_the_voxels() -> None:
    inner = Grid((2, 2, 2), affine((2, 2, 2)))  # faces at -1 and 3 mm
    outer = Grid((7, 1, 1), affine(origin=(-2, 0, 0)))  # x = -2 ... 4
    assert field_of_view(inner, outer).ravel().tolist() == [
        False, True, True, True, True, True, False,
    ]  # fmt: skip


def test_sequences_stored_in_other_orders_keep_exactly_their_voxels() -> None:
    upright = numbered((6, 7, 5), affine((1, 1, 3), (-9, 4, 2), (0.1, 0.05, -0.1)))
    stored = reoriented(upright, (2, 0, 1), (-1, 1, -1))
    reference = reoriented(upright, (1, 0, 2), (-1, -1, 1))
    aligned = align(Study("s", {"T1": reference, "T2": stored}), "T1")
    np.testing.assert_array_equal(aligned.volumes["T2"].array, upright.array)
    np.testing.assert_array_equal(aligned.volumes["T1"].array, upright.array)
    assert aligned.grid.matches(upright.grid)


def test_the_reference_is_turned_to_ras() -> None:
    stored = reoriented(numbered((6, 7, 5)), (2, 1, 0), (-1, -1, -1))
    aligned = align(Study("s", {"T1": stored}), "T1")
    assert nibabel.aff2axcodes(aligned.grid.affine_ras) == ("R", "A", "S")


def test_voxels_outside_a_sequence_get_its_own_background() -> None:
    reference = numbered((10, 10, 10))
    small = np.full((6, 10, 10), -3.0, dtype=np.float32)
    small[2:4, 3:7, 3:7] = 1.0
    aligned = align(Study("s", {"T2": reference, "ADC": Volume(small, affine())}), "T2")
    assert aligned.backgrounds["ADC"].value == -3.0
    np.testing.assert_array_equal(aligned.volumes["ADC"].array[6:], -3.0)
    np.testing.assert_array_equal(aligned.volumes["ADC"].array[:6], small)


def test_a_sequence_elsewhere_is_refused_with_both_grids() -> None:
    here, there = numbered((8, 8, 8)), numbered((9, 9, 9), affine(origin=(500, 0, 0)))
    with pytest.raises(InputError, match=r"T1.*9×9×9.*500\.0.*8×8×8"):
        align(Study("s", {"T2": here, "T1": there}), "T2")


@pytest.mark.parametrize(("first", "refused"), [(96, True), (94, False)])
def test_two_sequences_must_share_a_twentieth_of_the_smaller(first: int, refused: bool) -> None:
    here = numbered((100, 2, 2))
    shifted = numbered((200, 2, 2), affine(origin=(first, 0, 0)))
    study = Study("s", {"T2": here, "T1": shifted})
    if refused:
        with pytest.raises(InputError, match=r"share 4\.0%"):
            align(study, "T2")
    else:
        assert align(study, "T2").volumes["T1"].grid.matches(here.grid)


def test_a_small_field_of_view_inside_a_large_one_is_fine() -> None:
    head = numbered((100, 2, 2))
    study = Study("s", {"T2": head, "T1": numbered((3, 2, 2), affine(origin=(40, 0, 0)))})
    np.testing.assert_array_equal(np.isfinite(align(study, "T2").volumes["T1"].array), True)


def test_a_study_of_one_slice_aligns_a_sequence_of_other_thickness() -> None:
    thick = numbered((6, 6, 1), affine((1, 1, 6)))
    thin = numbered((6, 6, 1), affine((1, 1, 3), (0, 0, 1)))
    aligned = align(Study("s", {"T2": thick, "T1": thin}), "T2")
    np.testing.assert_allclose(aligned.volumes["T1"].array, thin.array)


def test_whole_number_intensities_are_interpolated_as_fractions() -> None:
    counts = Volume(np.arange(8, dtype=np.int16).reshape(8, 1, 1), affine())
    halfway = numbered((7, 1, 1), affine(origin=(0.5, 0, 0)))
    aligned = align(Study("s", {"T2": halfway, "T1": counts}), "T2")
    np.testing.assert_allclose(aligned.volumes["T1"].array.ravel(), np.arange(7) + 0.5)


@pytest.mark.parametrize("broken", [np.zeros((4, 4)), np.full((4, 4), np.nan)])
def test_an_affine_that_gives_voxels_no_place_is_refused(broken: Affine) -> None:
    with pytest.raises(InputError, match="affine"):
        canonical(numbered((2, 2, 2), broken))


@pytest.mark.real
@pytest.mark.parametrize("sequence", ["adc", "hbv"])
def test_a_real_sequence_of_another_field_of_view_lands_where_simpleitk_puts_it(
    sequence: str,
) -> None:
    folder = real_root / "prostate" / "ProstateX-0000"
    paths = {name: folder / f"ProstateX-0000_{name}.nii.gz" for name in ("t2w", sequence)}
    volumes = {}
    for name, path in paths.items():
        image = nibabel.load(path)
        volumes[name] = Volume(np.asarray(image.dataobj, dtype=np.float32), image.affine)
    aligned = align(Study("s", volumes), "t2w")
    fill = aligned.backgrounds[sequence].value
    moved = sitk.Resample(
        sitk.ReadImage(str(paths[sequence]), sitk.sitkFloat32),
        sitk.ReadImage(str(paths["t2w"])),
        sitk.Transform(),
        sitk.sitkLinear,
        fill,
    )
    theirs = sitk.GetArrayFromImage(sitk.DICOMOrient(moved, "LPS")).transpose(2, 1, 0)[::-1, ::-1]
    ours = aligned.volumes[sequence].array
    different = np.abs(ours - theirs) > 1e-3 * np.ptp(theirs)
    assert different.mean() < 1e-3  # float32 rounding at the edge of the field of view


@pytest.mark.real
def test_real_labels_return_exactly_to_their_files() -> None:
    for path in real_root.glob("*/*/*label*.nii.gz"):
        image = nibabel.load(path)
        label = Volume(np.asarray(image.dataobj).astype(np.uint8), image.affine)
        back = to_grid(canonical(label), label.grid, order=0, fill=0)
        np.testing.assert_array_equal(back.array, label.array)
