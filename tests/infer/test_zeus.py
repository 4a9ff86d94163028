"""The mask on the grid of the sequence that the client named."""

from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk
from nibabel.processing import resample_from_to

from infer.zeus import mask_for
from tests.painted import Box, grid, in_order, inside
from zeus_app.reporting.answer import names_in
from zeus_app.server.studies.resolved_image import ResolvedImage
from zeus_app.types import Grid, Segmentation, StudyFiles, Volume
from zeus_app.volumes.sources import NiftiSource

SHAPE: tuple[Box, ...] = (((-8, 9), (-8, 1), (-9, 8)), ((3, 9), (-2, 12), (-4, 8)))
T2 = grid((64, 48, 12), (0.7, 0.7, 3), angles_rad=(0.1, -0.05, 0.2))


def segmentation(label_map: Volume) -> Segmentation:
    return Segmentation(
        study_id="s", label_map=label_map, sequence_label_maps={}, instructions=(),
        used=("T2", "ADC"), missing=(), agreement={}, volumes_ml={}, latencies_ms={},
        checkpoint="v0001",
    )  # fmt: skip


def image(sequence: str, *, whole: bool) -> ResolvedImage:
    sources = {name: NiftiSource(Path(f"{name}.nii")) for name in ("T2", "ADC")}
    return ResolvedImage(
        StudyFiles("s", sources, patient="s"), sequence, whole=whole, is_temporary=False
    )


def labels_on(on: Grid) -> Volume:
    """Two classes, of which the second is the upper part."""
    mask = inside(on, SHAPE).astype(np.uint8)
    mask[inside(on, SHAPE[1:])] = 2
    return Volume(mask, on.affine_ras)


def test_only_labels_that_the_mask_holds_are_named_for_slicer() -> None:
    mask = np.zeros((2, 2, 2), np.uint8)
    mask[0, 0, 0] = 2
    assert names_in(mask, {"lesion": 1, "cyst": 2}) == {"cyst": 2}


def to_sitk(volume: Volume) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array.transpose(2, 1, 0)))
    lps = np.diag([-1, -1, 1, 1]) @ volume.affine_ras
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def by_simpleitk(label: Volume, on: Grid) -> npt.NDArray[np.generic]:
    reference = to_sitk(Volume(np.zeros(on.shape, np.uint8), on.affine_ras))
    moved = sitk.Resample(to_sitk(label), reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    array: npt.NDArray[np.generic] = sitk.GetArrayFromImage(moved).transpose(2, 1, 0)
    return array


def by_nibabel(label: Volume, on: Grid) -> npt.NDArray[np.generic]:
    image = nibabel.Nifti1Image(label.array, label.affine_ras)
    return np.asarray(resample_from_to(image, (on.shape, on.affine_ras), order=0).dataobj)


# The offsets keep every ADC centre off the middle between two T2 voxels, where either is nearest.
ADC_GRIDS = {
    "coarser, another field of view": grid((18, 14, 6), (2, 2, 4), centre_mm=(1.13, 0.37, 0.71)),
    "oblique": grid((20, 20, 8), (2, 2, 4), centre_mm=(1.1, 0.4, 0.7), angles_rad=(-0.3, 0.2, 0.1)),
    "finer": grid((90, 80, 20), (0.4, 0.4, 1.3), centre_mm=(0.09, 0.04, 0.07)),
    "one slice": grid((24, 24, 1), (1.5, 1.5, 5), centre_mm=(0.2, 0.3, 1.2)),
}


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "SRP"])
@pytest.mark.parametrize("name", ADC_GRIDS)
def test_the_mask_for_another_sequence_is_what_simpleitk_and_nibabel_look_up(
    name: str, codes: str
) -> None:
    label, adc = labels_on(in_order(T2, "LPS")), in_order(ADC_GRIDS[name], codes)
    mask = mask_for(image("ADC", whole=False), segmentation(label), {"T2": T2, "ADC": adc})
    assert mask.grid.matches(adc)
    assert mask.array.dtype == np.uint8
    assert set(np.unique(mask.array)) == {0, 1, 2}
    np.testing.assert_array_equal(mask.array, by_simpleitk(label, adc))
    np.testing.assert_array_equal(mask.array, by_nibabel(label, adc))


@pytest.mark.parametrize("whole", [True, False])
def test_the_mask_for_the_reference_or_the_whole_study_is_the_answer_itself(whole: bool) -> None:
    label = labels_on(in_order(T2, "LAS"))
    mask = mask_for(image("T2", whole=whole), segmentation(label), {"T2": label.grid})
    np.testing.assert_array_equal(mask.array, label.array)
    assert mask.grid.matches(label.grid)
