import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from zeus_app.studies.background import find_background, tissue_mask
from zeus_app.types import BoolArray, FloatArray

real_root = Path(os.environ.get("ZEUS_REAL_DATA", "."))


def body(shape: tuple[int, int, int] = (40, 50, 20)) -> BoolArray:
    """An ellipsoid that touches no corner and leaves the outer slices empty."""
    axes = [np.linspace(-1.25, 1.25, n) for n in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return np.asarray(x**2 + y**2 + z**2 < 1)


def test_a_constant_left_by_masking_is_the_background() -> None:
    array = np.full((40, 50, 20), -3.16, dtype=np.float32)
    array[body()] = np.random.default_rng(0).normal(0, 1, body().sum()).clip(-3, 3)
    assert find_background(array).value == pytest.approx(-3.16)


def test_tissue_of_a_z_scored_masked_volume_is_its_mask() -> None:
    array = np.full((40, 50, 20), -3.16, dtype=np.float32)
    array[body()] = np.random.default_rng(0).normal(0, 0.5, body().sum())
    np.testing.assert_array_equal(tissue_mask(array, find_background(array)), body())


def test_a_masked_background_is_found_though_darker_tissue_fills_corners() -> None:
    array = np.zeros((20, 20, 20), dtype=np.float32)
    array[:9] = np.random.default_rng(0).normal(-2, 0.1, (9, 20, 20))
    assert find_background(array).value == 0


def test_ripples_around_a_masked_background_are_no_tissue() -> None:
    rng = np.random.default_rng(0)
    array = np.where(body(), 500.0, 0.0).astype(np.float32)
    rippled = ~body() & (rng.random(array.shape) < 0.3)
    array[rippled] = rng.uniform(-2, 0, rippled.sum())
    np.testing.assert_array_equal(tissue_mask(array, find_background(array)), body())


def test_rayleigh_noise_in_air_is_no_tissue() -> None:
    rng = np.random.default_rng(0)
    array = np.abs(
        np.where(body(), 400.0, 0.0)
        + rng.normal(0, 12, body().shape)
        + 1j * rng.normal(0, 12, body().shape)
    ).astype(np.float32)
    mask = tissue_mask(array, find_background(array))
    assert mask[body()].all()
    assert mask[~body()].mean() < 0.002


def test_a_volume_without_air_is_tissue_in_every_slice() -> None:
    rng = np.random.default_rng(0)
    array = rng.gamma(2.0, 100.0, (64, 64, 12)).astype(np.float32)
    mask = tissue_mask(array, find_background(array))
    assert mask.mean(axis=(0, 1)).min() > 0.9


def test_a_background_inside_the_tissue_range_makes_no_holes() -> None:
    array = np.zeros((40, 50, 20), dtype=np.float32)  # z-scored within the mask, 0 outside
    array[body()] = np.random.default_rng(0).normal(0, 1, body().sum())
    array[20, 25, 10] = 0.0  # deep in the tissue, of exactly the background's value
    mask = tissue_mask(array, find_background(array))
    assert mask[20, 25, 10]
    assert not mask[0, 0].any()


def test_a_constant_volume_is_all_background() -> None:
    array = np.full((8, 8, 4), 7.0, dtype=np.float32)
    assert find_background(array).value == 7.0
    assert not tissue_mask(array, find_background(array)).any()


def test_scaling_a_volume_scales_its_background() -> None:
    array = np.full((40, 50, 20), -3.0, dtype=np.float32)
    array[body()] = np.random.default_rng(0).normal(0, 0.5, body().sum())
    plain, scaled = find_background(array), find_background(array * 1000 + 5000)
    assert scaled.value == pytest.approx(plain.value * 1000 + 5000)
    assert scaled.tolerance == pytest.approx(plain.tolerance * 1000, rel=1e-3)


def test_a_single_slice_has_a_background() -> None:
    array = np.where(body()[:, :, 10:11], 300.0, -1.0).astype(np.float32)
    np.testing.assert_array_equal(tissue_mask(array, find_background(array)), body()[:, :, 10:11])


def _read(path: Path) -> FloatArray:
    return np.asarray(nibabel.load(path).dataobj, dtype=np.float32)


@pytest.mark.real
def test_tissue_of_brats_is_its_brain_mask() -> None:
    for folder in sorted(real_root.glob("brain_tumour/brats*")):
        brain = _read(folder / "brainmask.nii.gz") > 0
        for path in folder.glob("*_subtrMeanDivStd.nii.gz"):
            array = _read(path)
            mask = tissue_mask(array, find_background(array))
            dice = 2 * (mask & brain).sum() / (mask.sum() + brain.sum())
            assert dice > 0.995, path
            assert not mask[:, :, ~brain.any(axis=(0, 1))].any(), path


@pytest.mark.real
@pytest.mark.parametrize(
    ("pattern", "least", "most"),
    [
        ("brain_tumour/TCGA*/*_bet.nii.gz", 0.10, 0.20),
        ("ms_lesion/*/*_T*.nii.gz", 0.12, 0.20),
        ("ms_lesion/*/*_FLAIR.nii.gz", 0.12, 0.20),
        ("abdomen/*/t2spir.nii.gz", 0.40, 0.90),
        ("prostate/*/*_adc.nii.gz", 0.30, 0.60),
        ("prostate/*/*_hbv.nii.gz", 0.30, 0.60),
        ("prostate/*/*_t2w.nii.gz", 0.90, 1.00),
    ],
)
def test_the_share_of_tissue_is_plausible(pattern: str, least: float, most: float) -> None:
    paths = sorted(real_root.glob(pattern))
    assert paths
    for path in paths:
        array = _read(path)
        share = tissue_mask(array, find_background(array)).mean()
        assert least < share < most, path


@pytest.mark.real
def test_the_head_of_tcga_ends_below_the_top_slices() -> None:
    for path in real_root.glob("brain_tumour/TCGA*/*_bet.nii.gz"):
        array = _read(path)
        covered = tissue_mask(array, find_background(array)).mean(axis=(0, 1))
        assert (covered[:5] == 0).all(), path
        assert (covered[145:] == 0).all(), path


@pytest.mark.real
def test_every_slice_of_prostate_t2_is_tissue() -> None:
    array = _read(next(real_root.glob("prostate/*/*_t2w.nii.gz")))
    assert tissue_mask(array, find_background(array)).mean(axis=(0, 1)).min() > 0.9
