"""Masks of whole files on the grids of the images: exact, in several storage orders and formats."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from tests.painted import in_order, inside
from tests.pipeline.bright_model import BAR, STAIRS, TARGET, UPRIGHT, VALUE, bar, segmenter, stairs
from zeus_app.api.batch import Batch, State
from zeus_app.api.description import Choices
from zeus_app.api.model import ZeusModel
from zeus_app.errors import CancelledError
from zeus_app.progress import silent
from zeus_app.settings.config import ZeusConfig
from zeus_app.storage.state import StateFolder
from zeus_app.training.checkpoint import UNTRAINED, Checkpoints
from zeus_app.types import Grid, LabelArray, Volume

ORDERS = ["RAS", "LPS", "LAS", "SPR", "IAL", "PSR"]


def bright(folder: Path) -> ZeusModel:
    """The model that marks what is bright, for the target of the painted studies."""
    state = StateFolder(folder / "state", "painted", "reference-small", "zeus", "hybrid")
    checkpoints = Checkpoints(state.checkpoints, pinned=UNTRAINED)
    model = ZeusModel(ZeusConfig(device="cpu"), TARGET, state, checkpoints)
    vars(model)["_segmenter"] = segmenter()
    return model


def write(path: Path, volume: Volume) -> Path:
    """The volume as NIfTI by nibabel; or as NRRD by SimpleITK, from nibabel's file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nifti = path.with_name(f"{path.name.split('.')[0]}.nii")
    image = nibabel.Nifti1Image(volume.array.astype(np.float32), volume.affine_ras)
    image.set_sform(volume.affine_ras, code=1)
    image.set_qform(volume.affine_ras, code=1)
    nibabel.save(image, nifti)
    if path.suffix == ".nrrd":
        sitk.WriteImage(sitk.ReadImage(str(nifti)), str(path))
        nifti.unlink()
    return path if path.suffix == ".nrrd" else nifti


def run(folder: Path, choices: Choices | None = None) -> list[State]:
    source, out = folder / "studies", folder / "out"
    batch = Batch(bright(folder), source, out, choices or Choices(), silent)
    return [outcome.state for outcome in batch.segment()]


def expected(on: Grid) -> LabelArray:
    return np.where(inside(on, STAIRS + BAR), np.uint8(VALUE), np.uint8(0))


@pytest.mark.parametrize("codes", ORDERS)
@pytest.mark.parametrize("ending", [".nii", ".nrrd"])
def test_the_mask_lies_voxel_by_voxel_on_the_image_as_it_is_stored(
    codes: str, ending: str, tmp_path: Path
) -> None:
    on = in_order(UPRIGHT, codes)
    other = in_order(UPRIGHT, ORDERS[ORDERS.index(codes) - 1])
    image = write(tmp_path / "studies" / "p1" / f"t2{ending}", stairs(on))
    write(tmp_path / "studies" / "p1" / f"adc{ending}", bar(other))
    assert run(tmp_path) == [State.SEGMENTED]
    mask = nibabel.load(tmp_path / "out" / "p1.nii.gz")
    np.testing.assert_array_equal(np.asarray(mask.dataobj), expected(on))
    np.testing.assert_allclose(mask.affine, on.affine_ras, atol=1e-5)
    ours = sitk.ReadImage(str(tmp_path / "out" / "p1.nii.gz"))
    theirs = sitk.ReadImage(str(image))
    assert ours.GetSize() == theirs.GetSize()
    np.testing.assert_allclose(ours.GetOrigin(), theirs.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(ours.GetDirection(), theirs.GetDirection(), atol=1e-5)
    np.testing.assert_allclose(ours.GetSpacing(), theirs.GetSpacing(), atol=1e-5)


@pytest.mark.parametrize("codes", ORDERS)
def test_an_nrrd_mask_of_the_chosen_sequence_lies_on_its_grid(codes: str, tmp_path: Path) -> None:
    on = in_order(UPRIGHT, codes)
    write(tmp_path / "studies" / "p1" / "t2.nii", stairs(UPRIGHT))
    image = write(tmp_path / "studies" / "p1" / "adc.nii", bar(on))
    assert run(tmp_path, Choices(sequence="ADC", extension=".nrrd")) == [State.SEGMENTED]
    mask, adc = sitk.ReadImage(str(tmp_path / "out" / "p1.nrrd")), sitk.ReadImage(str(image))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask).T, expected(on))
    np.testing.assert_allclose(mask.GetOrigin(), adc.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(mask.GetDirection(), adc.GetDirection(), atol=1e-5)


def test_a_cancelled_run_ends_and_leaves_what_is_done(tmp_path: Path) -> None:
    for name in ("p1", "p2"):
        write(tmp_path / "studies" / name / "t2.nii", stairs(UPRIGHT))

    def stop(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("studies", 1):
            raise CancelledError("stopped")

    batch = Batch(bright(tmp_path), tmp_path / "studies", tmp_path / "out", Choices(), stop)
    outcomes = batch.segment()
    assert next(outcomes).study_id == "p1"
    with pytest.raises(CancelledError):
        next(outcomes)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "p1.nii.gz", "p1.json", "p1.png"
    }  # fmt: skip
    assert run(tmp_path) == [State.DONE_BEFORE, State.SEGMENTED]


def test_what_a_killed_run_left_half_written_is_removed(tmp_path: Path) -> None:
    write(tmp_path / "studies" / "p1" / "t2.nii", stairs(UPRIGHT))
    half = tmp_path / "out" / ".writing-0123.nii.gz"
    half.parent.mkdir()
    half.write_bytes(b"half")
    run(tmp_path)
    assert not half.exists()
