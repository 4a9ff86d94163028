"""A downloaded image has the same position in ITK (3D Slicer) and in nibabel (Zeus)."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from tests.server.conftest import SHAPE, affine, head, save
from tests.server.studies.test_datastore import opened
from zeus_app.errors import InputError
from zeus_app.server.tasks.answer import AnswerFormat, write_answer
from zeus_app.types import Volume

ELSEWHERE = affine()
ELSEWHERE[:3, 3] = 0
SHEARED = affine()
SHEARED[0, 2] = 0.5  # mm in x for each slice of 3 mm


def no_form(image: nib.Nifti1Image) -> None:
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    image.header["sform_code"] = image.header["qform_code"] = 0


def two_forms(image: nib.Nifti1Image) -> None:
    image.set_sform(affine(), 2)
    image.set_qform(ELSEWHERE, 1)


def in_metres(image: nib.Nifti1Image) -> None:
    image.header.set_xyzt_units("meter")


def in_microns(image: nib.Nifti1Image) -> None:
    image.header.set_xyzt_units("micron")


UNITS_MM: dict[Callable[[nib.Nifti1Image], None], float] = {in_metres: 1000, in_microns: 0.001}


def one_slice(image: nib.Nifti1Image) -> None:
    pass


def study(
    folder: Path, change: Callable[[nib.Nifti1Image], None], shape: tuple[int, ...] = SHAPE
) -> Path:
    path = folder / "studies" / "anna" / "t2.nii.gz"
    path.parent.mkdir(parents=True)
    image = nib.Nifti1Image(head(1).reshape(-1)[: np.prod(shape)].reshape(shape), affine())
    change(image)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("change", [no_form, two_forms, in_metres, in_microns, one_slice])
def test_an_image_that_itk_places_differently_is_downloaded_as_a_copy_that_both_place_alike(
    tmp_path: Path, change: Callable[[nib.Nifti1Image], None]
) -> None:
    source = study(tmp_path, change, SHAPE[:2] if change is one_slice else SHAPE)
    before = source.read_bytes()
    copy = sitk.ReadImage(opened(tmp_path / "studies").get_image_uri("anna"))
    original = nib.load(source)
    voxels = np.atleast_3d(np.asarray(original.dataobj))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(copy).transpose(2, 1, 0), voxels)
    for index in [(0, 0, 0), tuple(n - 1 for n in voxels.shape)]:
        left, posterior, superior = copy.TransformIndexToPhysicalPoint(index)
        there = original.affine @ [*index, 1] * UNITS_MM.get(change, 1)
        # RAS: x and y have the other sign
        np.testing.assert_allclose([-left, -posterior, superior], there[:3], rtol=1e-6, atol=1e-3)
    assert source.read_bytes() == before


def test_an_image_that_itk_places_alike_is_downloaded_itself(tmp_path: Path) -> None:
    source = study(tmp_path, lambda image: image.set_qform(None, 0))
    assert opened(tmp_path / "studies").get_image_uri("anna") == str(source)


def test_a_study_on_a_sheared_grid_is_a_problem_and_hides_no_other(tmp_path: Path) -> None:
    save(tmp_path / "studies" / "anna" / "t2.nii.gz", head(1), SHEARED)
    save(tmp_path / "studies" / "bob" / "t2.nii.gz", head(2), affine())
    store = opened(tmp_path / "studies")
    assert store.list_images() == ["bob"]
    assert "not at right angles" in store.catalogue.problems[0].reason


def test_a_grid_sheared_by_rounding_alone_is_accepted(tmp_path: Path) -> None:
    nearly = affine()
    nearly[0, 2] = 1e-4
    save(tmp_path / "studies" / "anna" / "t2.nii.gz", head(1), nearly)
    assert opened(tmp_path / "studies").list_images() == ["anna"]


def test_a_sheared_sequence_is_used_but_not_downloadable(tmp_path: Path) -> None:
    save(tmp_path / "studies" / "anna" / "t2.nii.gz", head(1), affine())
    save(tmp_path / "studies" / "anna" / "flair.nii.gz", head(2), SHEARED)
    store = opened(tmp_path / "studies")
    with pytest.raises(InputError, match="not at right angles"):
        store.get_image_uri("anna/FLAIR")
    assert list(store.catalogue.studies["anna"].sources) == ["T2", "FLAIR"]


def test_no_mask_is_written_that_itk_would_place_differently() -> None:
    mask = Volume(np.zeros(SHAPE, np.uint8), SHEARED)
    with pytest.raises(InputError, match="not at right angles"):
        write_answer(mask, {"lesion": 1}, AnswerFormat(".nii.gz", "uint8"))


def test_a_file_that_an_older_one_replaced_is_copied_again(tmp_path: Path) -> None:
    archive = tmp_path / "studies" / "msd"
    (archive / "imagesTr").mkdir(parents=True)
    (archive / "dataset.json").write_text(json.dumps({"modality": {"0": "T2", "1": "FLAIR"}}))
    path = archive / "imagesTr" / "case.nii.gz"
    store = None
    for seed, changed in ((1, 2_000_000_000), (2, 1_000_000_000)):  # seconds since 1970
        save(path, np.stack([head(seed), head(9)], axis=-1), affine())
        os.utime(path, (changed, changed))
        store = store or opened(tmp_path / "studies")
        copy = nib.load(store.get_image_uri("msd_case"))
        np.testing.assert_array_equal(np.asarray(copy.dataobj), head(seed))


def test_an_image_beside_its_unpacked_namesake_is_downloaded_as_a_copy(tmp_path: Path) -> None:
    path = study(tmp_path, lambda image: None).rename(tmp_path / "studies" / "anna" / "T2a.nii.gz")
    namesake = save(path.with_suffix(""), head(2), affine())
    cases = [{"id": "anna", "sequences": {"T2": "anna/T2a.nii.gz"}}]
    (tmp_path / "studies" / "cases.json").write_text(json.dumps(cases))
    by_itk = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    assert np.array_equal(by_itk.T, head(2))  # ITK opens another file than it is told to
    download = opened(tmp_path / "studies").get_image_uri("anna")
    assert download != str(path)
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(download)).T, head(1))
    assert namesake.exists()
