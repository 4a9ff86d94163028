"""From a study to its mask, voxel by voxel: the mask lies exactly where the object is bright.

The model is a threshold on the pictures. Conversion to pictures and back is exact for every voxel
where a picture has 1 pixel a voxel, or at least 2:

- The picture is linear between voxel centres. With f pixels a voxel, the pixels that surround a
  voxel's centre lie within 1/2f of it, so that the voxel itself weighs at least (1 - 1/2f)² in
  them: 0.56 at f = 2, at corners too. Half of the range divides inside from outside.
- With 1 pixel a voxel nothing is interpolated.

With other numbers of pixels a corner may be lost. The tests state the bound and its reason.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.painted import STORAGE_ORDERS, Box, centres_mm, grid, in_order, inside, painted
from tests.pipeline.bright_model import (
    BAR,
    RADIUS_MM,
    STAIRS,
    SURE,
    TARGET,
    UPRIGHT,
    VALUE,
    BrightIsObject,
    bar,
    opened,
    pictures_of,
    segmented,
    segmenter,
    stairs,
)
from zeus_app.errors import CancelledError, InputError
from zeus_app.protocols import Batch
from zeus_app.settings.config import TrainConfig
from zeus_app.studies.find import find_studies
from zeus_app.studies.opened import open_study
from zeus_app.studies.read import read_study
from zeus_app.targets import Label
from zeus_app.training.checkpoint import CheckpointInfo, Checkpoints
from zeus_app.types import (
    BoolArray,
    Grid,
    SliceStack,
    Volume,
)


def assert_mask(mask: Volume, on: Grid, expected: BoolArray) -> None:
    """The mask lies on this grid and holds the target's value at these voxels alone."""
    assert expected.any()
    assert mask.array.dtype == np.uint8
    np.testing.assert_allclose(mask.affine_ras, on.affine_ras, atol=1e-6)
    np.testing.assert_array_equal(mask.array, VALUE * expected.astype(np.uint8))


def test_of_chosen_sequences_the_mask_is_that_of_a_study_without_the_others() -> None:
    both = opened(T2=stairs(UPRIGHT), ADC=bar(UPRIGHT))
    answer = segmenter().segment(both.with_sequences(("T2",)))
    assert_mask(answer.label_map, UPRIGHT, inside(UPRIGHT, STAIRS))
    assert (answer.used, set(answer.sequence_label_maps)) == (("T2",), {"T2"})
    assert "ADC" in answer.missing
    answer = segmenter().segment(both.with_sequences(("ADC",)))
    assert_mask(answer.label_map, UPRIGHT, inside(UPRIGHT, BAR))


def centroid_mm(mask: BoolArray, on: Grid) -> npt.NDArray[np.float64]:
    centre: npt.NDArray[np.float64] = centres_mm(on)[mask].mean(axis=0)
    return centre


@pytest.mark.parametrize("codes", STORAGE_ORDERS)
def test_each_sequences_mask_and_the_union_are_exact_in_every_storage_order(codes: str) -> None:
    on = in_order(UPRIGHT, codes)
    other = STORAGE_ORDERS[(STORAGE_ORDERS.index(codes) * 7 + 5) % 48]
    answer = segmented(T2=stairs(on), ADC=bar(in_order(UPRIGHT, other)))
    assert_mask(answer.sequence_label_maps["T2"], on, inside(on, STAIRS))
    assert_mask(answer.sequence_label_maps["ADC"], on, inside(on, BAR))
    assert_mask(answer.label_map, on, inside(on, STAIRS + BAR))


@pytest.fixture(scope="module")
def upright_pictures() -> npt.NDArray[np.float32]:
    return pictures_of(T2=stairs(UPRIGHT), ADC=bar(UPRIGHT))


@pytest.mark.parametrize("codes", STORAGE_ORDERS)
def test_the_model_gets_the_same_pictures_in_every_storage_order(
    codes: str, upright_pictures: npt.NDArray[np.float32]
) -> None:
    on = in_order(UPRIGHT, codes)
    pixels = pictures_of(T2=stairs(on), ADC=bar(on))
    np.testing.assert_allclose(pixels, upright_pictures, atol=1e-4)


def test_the_pictures_show_the_patient_from_below_with_the_front_at_the_top(
    upright_pictures: npt.NDArray[np.float32],
) -> None:
    middle = upright_pictures[:, 3] > 0.5  # z = 0 mm; pixel (0, 0) is 32 mm right, 32 mm in front
    for shape, picture in zip((STAIRS, BAR), middle, strict=True):
        right, front = np.max(np.asarray(shape)[:, :2, 1], axis=0)
        left, back = np.min(np.asarray(shape)[:, :2, 0], axis=0)
        rows, cols = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
        # Voxels of 1 mm show a face to within 0.5 mm, 2 pixels; the last pixel ends 1 before it.
        assert rows[[0, -1]] == pytest.approx([4 * (32 - front), 4 * (32 - back)], abs=3)
        assert cols[[0, -1]] == pytest.approx([4 * (32 - right), 4 * (32 - left)], abs=3)


@pytest.mark.parametrize(
    "on",
    [
        pytest.param(grid((128, 96, 7), (0.5, 0.5, 3)), id="0.5x0.5x3 mm, 2 pixels a voxel"),
        pytest.param(grid((256, 256, 3), (0.25, 0.25, 4)), id="as many voxels as pixels"),
        pytest.param(grid((40, 64, 7), (1, 1, 3)), id="deeper than wide"),
        pytest.param(grid((128, 64, 5), (0.5, 1, 3)), id="voxels that are not square"),
        pytest.param(grid((25, 19, 20), (2, 2, 0.8)), id="5.12 pixels a voxel"),
        pytest.param(grid((63, 39, 6), (1, 1, 2), centre_mm=(1.3, -0.6, 3.1)), id="odd sizes"),
    ],
)
@pytest.mark.parametrize("codes", ["LPS", "SRP"])
@pytest.mark.parametrize("angles", [(0, 0, 0), (0.3, -0.2, 0.35)], ids=["upright", "oblique"])
def test_the_mask_is_exact_on_grids_of_any_shape(
    on: Grid, codes: str, angles: tuple[float, float, float]
) -> None:
    centre = centres_mm(on).mean(axis=(0, 1, 2))
    stored = in_order(grid(on.shape, on.spacing_mm, angles_rad=angles, centre_mm=centre), codes)
    assert_mask(segmented(T2=stairs(stored)).label_map, stored, inside(stored, STAIRS))


@pytest.mark.parametrize("codes", ["LPS", "PIR"])
@pytest.mark.parametrize("angles", [(0, 0, 0), (0.2, -0.2, 0.15)], ids=["upright", "oblique"])
def test_a_study_of_one_slice_is_exact(codes: str, angles: tuple[float, float, float]) -> None:
    on = in_order(grid((64, 64, 1), (1, 1, 5), angles_rad=angles), codes)
    answer = segmented(T2=stairs(on), ADC=bar(on))
    assert_mask(answer.label_map, on, inside(on, STAIRS + BAR))


def test_a_sequence_that_could_not_be_read_is_noted_in_the_answer() -> None:
    study = replace(opened(T2=stairs(UPRIGHT)), left_out={"ADC": "48 of 48 voxels are NaN"})
    answer = segmenter().segment(study)
    assert "without ADC: 48 of 48 voxels are NaN" in answer.notes
    assert answer.missing == tuple(name for name in TARGET.sequence_names if name != "T2")


def test_a_single_slice_is_aligned_with_the_slices_of_the_other_sequence() -> None:
    single = grid((64, 40, 1), (1, 1, 3), centre_mm=(0, 0, 3))
    answer = segmented(T2=stairs(UPRIGHT), ADC=bar(single))
    alone = inside(UPRIGHT, BAR)
    alone[..., [0, 1, 2, 3, 5, 6]] = False  # UPRIGHT's slice 4 lies at 3 mm
    assert_mask(answer.sequence_label_maps["ADC"], UPRIGHT, alone)
    assert_mask(answer.label_map, UPRIGHT, alone | inside(UPRIGHT, STAIRS))


def test_a_single_reference_slice_takes_the_other_sequences_slice_at_its_place() -> None:
    single = grid((64, 40, 1), (1, 1, 3), centre_mm=(0, 0, -6))  # below the bar's lower end
    answer = segmented(T2=stairs(single), ADC=painted(UPRIGHT, STAIRS[2:], radius_mm=RADIUS_MM))
    assert_mask(answer.sequence_label_maps["ADC"], single, inside(single, STAIRS[2:]))


@pytest.mark.parametrize(("present", "missing"), [("T2", "ADC"), ("ADC", "T2")])
def test_without_one_sequence_the_mask_is_the_others(present: str, missing: str) -> None:
    on = in_order(UPRIGHT, "LPS")
    answer = segmented(**{present: stairs(on)})
    assert_mask(answer.label_map, on, inside(on, STAIRS))
    assert answer.missing == (missing,)
    assert set(answer.sequence_label_maps) == {present}


def test_slices_stored_from_the_top_down_come_back_from_the_top_down(tmp_path: Path) -> None:
    upward = stairs(UPRIGHT)
    downward = UPRIGHT.affine_ras @ np.diag([1, 1, -1, 1])
    downward[:3, 3] += UPRIGHT.affine_ras[:3, 2] * 6  # the seventh slice comes first
    for name, array, affine in (
        ("up", upward.array, UPRIGHT.affine_ras),
        ("down", upward.array[:, :, ::-1], downward),
    ):
        (tmp_path / name).mkdir()
        nibabel.save(nibabel.Nifti1Image(array, affine), tmp_path / name / "t2.nii.gz")
    studies = find_studies(tmp_path, TARGET).studies
    up, down = (
        segmenter().segment(open_study(read_study(studies[n]), TARGET)).label_map
        for n in ("up", "down")
    )
    assert_mask(up, UPRIGHT, inside(UPRIGHT, STAIRS))
    np.testing.assert_array_equal(down.array, up.array[:, :, ::-1])
    np.testing.assert_allclose(down.affine_ras, downward, atol=1e-6)


HOOK: tuple[Box, ...] = (((-8, 16), (-8, 4), (-11, 13)), ((4, 16), (2, 16), (-11, 13)))
"""Its faces lie on voxel faces of the upright `COARSE`, whose voxels then hold just its volume."""
T2_FINE = grid((128, 128, 12), (0.5, 0.5, 3))
COARSE = ((24, 20, 10), (2, 2, 4), (4, 2, 1))  # shape, mm, centre: another field of view, too


@pytest.mark.parametrize("angles", [(0, 0, 0), (0.3, -0.2, 0.35)], ids=["upright", "oblique"])
@pytest.mark.parametrize("codes", ["LPS", "SRP"])
def test_a_coarser_sequences_object_appears_at_its_place_on_the_reference(
    codes: str, angles: tuple[float, float, float]
) -> None:
    shape, spacing, centre = COARSE
    adc = grid(shape, spacing, centre_mm=centre, angles_rad=angles)
    answer = segmented(
        T2=painted(T2_FINE, BAR, radius_mm=(30, 26)),
        ADC=painted(in_order(adc, codes), HOOK, radius_mm=(30, 26)),
    )
    assert_mask(answer.sequence_label_maps["T2"], T2_FINE, inside(T2_FINE, BAR))
    mask = answer.sequence_label_maps["ADC"].array == VALUE
    # Linear look-up mixes ADC voxels less than one voxel away. Pictures of 2 pixels a voxel add one
    # T2 voxel in plane. The mask is exact where all of these lie inside, or all outside.
    # Between them its corners are round.
    reach = np.abs(adc.affine_ras[:3, :3]).sum(axis=1) + np.array([0.5, 0.5, 0])
    assert not (inside(T2_FINE, HOOK, grown_mm=(-reach).tolist()) & ~mask).any()
    assert not (mask & ~inside(T2_FINE, HOOK, grown_mm=reach.tolist())).any()
    # A shift by half an ADC voxel would move the whole mask by 1 mm in plane and 2 mm across.
    # The bound is half a T2 voxel, the precision of T2 slices at the upper face of a turned object.
    shift = centroid_mm(mask, T2_FINE) - centroid_mm(inside(T2_FINE, HOOK), T2_FINE)
    assert (np.abs(shift) < [0.25, 0.25, 1.5]).all()


@pytest.mark.parametrize(
    ("edge", "reach_voxels"),
    [pytest.param(240, 2, id="16 pixels for 15 voxels"), pytest.param(384, 3, id="2 for 3")],
)
def test_where_pixels_and_voxels_do_not_match_only_edges_are_blurred(
    edge: int, reach_voxels: int
) -> None:
    # A pixel mixes voxels less than max(1, edge / 256) voxels away. A voxel is read from pixels
    # less than one pixel (edge / 256 voxels) away. Together: below 2 and 3 voxels, only in plane.
    mm = 64 / edge
    on = grid((edge, edge - 60, 3), (mm, mm, 4))
    mask = segmented(T2=stairs(on)).label_map.array == VALUE
    reach = np.array([reach_voxels * mm, reach_voxels * mm, 0])
    assert not (inside(on, STAIRS, grown_mm=(-reach).tolist()) & ~mask).any()
    assert not (mask & ~inside(on, STAIRS, grown_mm=reach.tolist())).any()
    # A shift would move the whole mask; the usual mistake is half a pixel, edge / 512 voxels.
    # Some faces come back half a voxel off, in different directions. The bound is a quarter pixel.
    shift = centroid_mm(mask, on) - centroid_mm(inside(on, STAIRS), on)
    assert np.abs(shift / mm).max() < edge / 1024


class BrightIsObjectHereAndMarkThere(BrightIsObject):
    """Bright voxels are the object in T2, and the other label in ADC."""

    def logits(self, batch: Batch) -> torch.Tensor:
        bright = super().logits(batch)
        logits = torch.full_like(bright, -SURE).repeat(1, 1, 2, 1, 1)
        logits[:, 0, 0], logits[:, 1, 1] = bright[:, 0, 0], bright[:, 1, 0]
        return logits


def test_a_sequence_agrees_with_the_union_where_it_shows_the_same_label() -> None:
    labels = (*TARGET.labels, Label(name="mark", value=3))
    whole = segmenter(
        TARGET.model_copy(update={"labels": labels}), BrightIsObjectHereAndMarkThere()
    )
    answer = whole.segment(opened(T2=stairs(UPRIGHT), ADC=stairs(UPRIGHT)))
    # Equal probabilities go to the first label, so the union is T2's alone: in ADC all is another.
    assert answer.agreement == {"T2": 1.0, "ADC": 0.0}


FOUR_SLICES = grid((50, 40, 4), (1, 1, 4))


def pictures(volumes: dict[str, Volume]) -> SliceStack:
    return opened(**volumes).stack


def slices_prepared(first: Sequence[Sequence[int]]) -> list[int]:
    """The slice of each call of the model; `first` has one answer for each call."""
    calls, model = iter(first), BrightIsObject()
    segmenter(model=model).prepare(pictures({"T2": stairs(FOUR_SLICES)}), first=lambda: next(calls))
    slices = [np.flatnonzero(tissue.any(axis=0)) for tissue, _ in model.prepared]
    return [int(s) for (s,) in slices]


def test_a_study_is_prepared_slice_by_slice() -> None:
    assert slices_prepared([()] * 4) == [0, 1, 2, 3]


def test_slices_that_are_asked_for_are_prepared_first_even_if_that_is_known_later() -> None:
    assert slices_prepared([(), (3, 2), (3, 2), (3, 2)]) == [0, 3, 2, 1]


def test_asking_for_a_slice_that_does_not_exist_changes_nothing() -> None:
    assert slices_prepared([(9, 0)] * 4) == [0, 1, 2, 3]


def test_a_slice_is_prepared_picture_by_picture_so_that_a_click_waits_for_one() -> None:
    model = BrightIsObject()
    volume = stairs(FOUR_SLICES)
    segmenter(model=model).prepare(pictures(dict.fromkeys(TARGET.sequence_names, volume)))
    indices = [np.argwhere(tissue).tolist() for tissue, _ in model.prepared]
    assert indices == [[[m, s]] for s in range(4) for m in range(2)]


def test_preparing_writes_no_text() -> None:
    model = BrightIsObject()
    segmenter(model=model).prepare(pictures({"T2": stairs(FOUR_SLICES)}))
    assert {guidance.scope for _, guidance in model.prepared} == {"none"}


def test_preparing_reports_its_progress_and_can_be_cancelled() -> None:
    calls: list[tuple[str, int, int]] = []

    def report(stage: str, done: int, total: int) -> None:
        calls.append((stage, done, total))
        if done == 2:
            raise CancelledError("enough")

    model = BrightIsObject()
    with pytest.raises(CancelledError):
        segmenter(model=model).prepare(pictures({"T2": stairs(FOUR_SLICES)}), report=report)
    assert calls == [("encoding", 0, 4), ("encoding", 1, 4), ("encoding", 2, 4)]
    assert len(model.prepared) == 2


def test_a_model_without_towers_encodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = BrightIsObject()
    monkeypatch.setattr(model, "cache_bytes", lambda pictures: 0)
    segmenter(model=model).prepare(pictures({"T2": stairs(FOUR_SLICES)}))
    assert model.prepared == []


def test_a_pinned_version_of_another_folder_segments_until_the_next_training(
    tmp_path: Path,
) -> None:
    pinned = segmenter()
    info = CheckpointInfo("", "", 1, None, (), (), pinned.training.trained_with)
    for _ in range(2):
        Checkpoints(tmp_path).publish({}, info)
    pinned.pin(Checkpoints(tmp_path, pinned="v0001"))
    assert pinned.segment(opened(T2=stairs(UPRIGHT))).checkpoint == "v0001"
    with pytest.raises(InputError):
        pinned.fit([], TrainConfig())
    assert pinned.checkpoints is pinned.training.checkpoints
