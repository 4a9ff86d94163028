"""A mask is compared with its truth where both lie in space; checked against nibabel."""

from collections.abc import Callable, Sequence
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
from nibabel.processing import resample_from_to

from zeus_app.errors import InputError
from zeus_app.evaluation.compare import (
    NOTHING,
    CaseScores,
    Reading,
    compare,
    label_of,
    structures_of,
)
from zeus_app.evaluation.pairs import Pair
from zeus_app.labels.files import write_label
from zeus_app.metrics import LesionCounts
from zeus_app.targets import load_target
from zeus_app.types import Affine, Volume

PARTS = load_target("brain_tumour_parts")
PHANTOM = load_target("phantom")
OBLIQUE: Affine = np.array(
    [[0.9, -0.2, 0.0, -20], [0.2, 0.9, 0.0, 15], [0.0, 0.0, 3.0, 7], [0, 0, 0, 1]]
)
ORIENTATIONS = [
    [[axis, sign] for axis, sign in zip(axes, signs, strict=True)]
    for axes in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]


def image(array: npt.NDArray[np.generic], affine: Affine = OBLIQUE) -> nibabel.Nifti1Image:
    return nibabel.Nifti1Image(array.astype(np.uint8), affine)


def blob(*corner: int, shape: Sequence[int] = (14, 12, 9), size: int = 3) -> npt.NDArray[np.uint8]:
    """A cube of ones at a corner."""
    array = np.zeros(shape, np.uint8)
    array[tuple(slice(start, start + size) for start in corner)] = 1
    return array


@pytest.fixture
def compared(tmp_path: Path) -> Callable[..., CaseScores]:
    """Compare two NIfTI images, saved to files."""

    def run(
        mask: nibabel.Nifti1Image, truth: nibabel.Nifti1Image, reading: Reading | None = None
    ) -> CaseScores:
        paths = tmp_path / "mask.nii.gz", tmp_path / "truth.nii.gz"
        for one, path in zip((mask, truth), paths, strict=True):
            nibabel.save(one, path)
        return compare(Pair("p1", *paths), reading or Reading())

    return run


def test_two_cubes_are_scored_by_hand(compared: Callable[..., CaseScores]) -> None:
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    found = compared(image(blob(2, 2, 3), affine), image(blob(2, 2, 2), affine))
    scores = found.of(label_of(1))
    assert scores.dsc == pytest.approx(2 * 18 / 54)
    assert scores.iou == pytest.approx(18 / 36)
    assert scores.hd95_mm == pytest.approx(4)  # one slice of 4 mm
    assert scores.lesions == LesionCounts(found=1, missed=0, false=0)
    assert (scores.mask_ml, scores.truth_ml) == pytest.approx((27 * 4 / 1000, 27 * 4 / 1000))
    assert found.notes == ()


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_a_mask_stored_in_any_order_of_axes_is_the_same_mask(
    compared: Callable[..., CaseScores], orientation: list[list[int]]
) -> None:
    truth = image(blob(1, 2, 3) + 2 * blob(8, 7, 0))
    turned = truth.as_reoriented(np.array(orientation))
    found = compared(turned, truth)
    for value in (1, 2):
        scores = found.of(label_of(value))
        assert (scores.dsc, scores.hd95_mm) == (1, 0)
    assert "resampled" not in "".join(found.notes)


def test_a_flipped_array_with_the_old_affine_is_another_mask(
    compared: Callable[..., CaseScores],
) -> None:
    truth = image(blob(1, 2, 3))
    flipped = image(np.asarray(truth.dataobj)[::-1])
    assert compared(flipped, truth).of(label_of(1)).dsc == 0


@pytest.mark.parametrize("scale", [(0.5, 0.5, 1), (2, 2, 1), (1.3, 0.7, 0.4)], ids=str)
def test_a_mask_on_another_grid_is_resampled_as_nibabel_does(
    compared: Callable[..., CaseScores], scale: tuple[float, ...]
) -> None:
    truth = image(blob(3, 3, 2, size=5))
    affine = OBLIQUE @ np.diag([*scale, 1])
    affine[:3, 3] += (0.31, -0.17, 0.23)  # no centre lies midway between two others
    shape = tuple(int(n / s) for n, s in zip(truth.shape, scale, strict=True))
    start = tuple(int(4 / s) for s in scale)
    mask = image(blob(*start, shape=shape), affine)
    expected = np.asarray(resample_from_to(mask, truth, order=0).dataobj) > 0
    true = np.asarray(truth.dataobj) > 0
    found = compared(mask, truth)
    dsc = 2 * (expected & true).sum() / (expected.sum() + true.sum())
    assert found.of(label_of(1)).dsc == pytest.approx(dsc)
    assert 0 < dsc < 1
    (note,) = (note for note in found.notes if "resampled" in note)
    assert "nearest" in note
    volume_ml = 27 * abs(np.linalg.det(affine[:3, :3])) / 1000
    assert found.of(label_of(1)).mask_ml == pytest.approx(volume_ml)


def test_a_mask_in_another_place_is_an_error_with_both_grids(
    compared: Callable[..., CaseScores],
) -> None:
    moved = OBLIQUE.copy()
    moved[:3, 3] += 10  # less than half of the volume is shared
    with pytest.raises(InputError, match=r"-10\.0, 25\.0, 17\.0.*-20\.0, 15\.0, 7\.0"):
        compared(image(blob(1, 1, 1), moved), image(blob(1, 1, 1)))


def test_what_lies_outside_of_the_truths_grid_is_told(
    compared: Callable[..., CaseScores],
) -> None:
    whole = image(blob(1, 1, 5, size=4))
    cropped = whole.slicer[:, :, :7]
    found = compared(whole, cropped)
    assert found.of(label_of(1)).dsc == 1
    lost = 4 * 4 * 2 * abs(np.linalg.det(OBLIQUE[:3, :3])) / 1000
    assert any(f"{lost:.3g} ml" in note for note in found.notes)


def test_a_label_that_neither_shows_scores_one_and_has_no_distance(
    compared: Callable[..., CaseScores],
) -> None:
    found = compared(image(blob(1, 1, 1)), image(blob(1, 1, 1)), Reading(PHANTOM))
    lesion, cyst = structures_of(PHANTOM)
    assert found.of(lesion).dsc == 1
    assert found.of(cyst) == NOTHING
    assert (NOTHING.dsc, NOTHING.iou, NOTHING.lesions.f1, NOTHING.hd95_mm) == (1, 1, 1, None)


def test_a_mask_without_the_truths_label_scores_zero_and_has_no_distance(
    compared: Callable[..., CaseScores],
) -> None:
    scores = compared(image(0 * blob(1, 1, 1)), image(blob(1, 1, 1))).of(label_of(1))
    assert (scores.dsc, scores.iou, scores.lesions.f1, scores.hd95_mm) == (0, 0, 0, None)


def test_groups_are_scored_beside_the_labels(compared: Callable[..., CaseScores]) -> None:
    truth = image(blob(1, 1, 1) + 2 * blob(4, 1, 1) + 3 * blob(7, 1, 1))
    swapped = image(2 * blob(1, 1, 1) + 1 * blob(4, 1, 1) + 3 * blob(7, 1, 1))
    found = compared(swapped, truth, Reading(PARTS))
    by_name = {(one.kind, one.name): found.of(one).dsc for one in structures_of(PARTS)}
    assert by_name == {
        ("label", "necrotic core"): 0, ("label", "oedema"): 0, ("label", "enhancing tumour"): 1,
        ("group", "whole tumour"): 1, ("group", "tumour core"): pytest.approx(0.5),
        ("group", "enhancing tumour"): 1,
    }  # fmt: skip


def test_the_truth_may_have_the_values_of_a_data_set(compared: Callable[..., CaseScores]) -> None:
    mask = image(blob(1, 1, 1) + 3 * blob(7, 1, 1))
    truth = image(blob(1, 1, 1) + 4 * blob(7, 1, 1))
    found = compared(mask, truth, Reading(PARTS, convention="brats2017"))
    assert {found.of(one).dsc for one in structures_of(PARTS)} == {1}
    with pytest.raises(InputError, match="values 4 are no label"):
        compared(mask, truth, Reading(PARTS))


def test_values_that_the_target_imports_count_without_a_convention(
    compared: Callable[..., CaseScores],
) -> None:
    target = load_target("brain_tumour")
    found = compared(image(blob(1, 1, 1)), image(4 * blob(1, 1, 1)), Reading(target))
    assert found.of(structures_of(target)[0]).dsc == 1


def test_a_convention_needs_a_target_that_has_it() -> None:
    with pytest.raises(InputError, match="convention"):
        Reading(None, convention="brats2017")
    with pytest.raises(InputError, match="brats9"):
        Reading(PARTS, convention="brats9")


def test_segments_of_slicer_count_by_their_names(tmp_path: Path) -> None:
    swapped = Volume(2 * blob(1, 1, 1) + blob(7, 1, 1), OBLIQUE)
    write_label(tmp_path / "truth.seg.nrrd", swapped, names={"lesion": 2, "cyst": 1})
    nibabel.save(image(blob(1, 1, 1) + 2 * blob(7, 1, 1)), tmp_path / "mask.nii.gz")
    pair = Pair("p1", tmp_path / "mask.nii.gz", tmp_path / "truth.seg.nrrd")
    found = compare(pair, Reading(PHANTOM))
    assert {found.of(one).dsc for one in structures_of(PHANTOM)} == {1}


def test_an_image_is_no_mask(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 999, (9, 9, 9)).astype(np.int16)
    for name, array in (("image", noise), ("negative", np.minimum(noise, 1) - 1)):
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / f"{name}.nii.gz")
    nibabel.save(image(blob(1, 1, 1, shape=(9, 9, 9)), np.eye(4)), tmp_path / "truth.nii.gz")
    for name, reason in (("image", "different values"), ("negative", "negative")):
        pair = Pair("p1", tmp_path / f"{name}.nii.gz", tmp_path / "truth.nii.gz")
        with pytest.raises(InputError, match=reason):
            compare(pair, Reading())


def test_on_a_sheared_grid_there_is_no_distance_and_it_is_said(
    compared: Callable[..., CaseScores],
) -> None:
    sheared = np.eye(4)
    sheared[0, 1] = 0.5
    # nibabel writes the shear into sform
    found = compared(image(blob(1, 1, 1), sheared), image(blob(1, 1, 1), sheared))
    assert found.of(label_of(1)).hd95_mm is None
    assert found.of(label_of(1)).dsc == 1
    assert any("right angles" in note for note in found.notes)
