import numpy as np

from benchmarks.interactive.scenes import Scene, scenes_of, slices_of
from tests.benchmarks.interactive.conftest import a_mask
from zeus_app.prompts.propagation import PropagationLimits
from zeus_app.prompts.simulation import SimulatedClick


def test_a_volume_has_a_scene_on_each_slice_that_shows_enough(volume: Scene) -> None:
    assert [scene.slice_index for scene in slices_of(volume)] == [1, 2]


def test_the_slices_are_the_outer_ones_and_those_evenly_between(volume: Scene) -> None:
    whole = Scene("phantom", "phantom_00", "lesion", volume.stack, a_mask(0, 1, 2, 3))
    assert [scene.slice_index for scene in slices_of(whole, count=2)] == [0, 3]


def test_a_label_of_a_few_pixels_is_no_scene_in_2d(volume: Scene) -> None:
    """A voxel is 8×8 pixels of the picture, so that one voxel is just enough."""
    mask = np.zeros(volume.volume.shape, np.bool_)
    mask[4, 4, 0] = True
    small = Scene("phantom", "phantom_00", "lesion", volume.stack, mask)
    assert [scene.slice_index for scene in slices_of(small)] == [0]
    assert slices_of(Scene("phantom", "a", "lesion", volume.stack, mask & False)) == []


def test_in_2d_the_truth_is_the_slice_and_a_click_on_it_names_the_slice(volume: Scene) -> None:
    scene = slices_of(volume)[1]
    assert scene.truth.shape == (32, 32)
    assert scene.spacing_mm == (2.0, 2.0)
    assert scene.in_volume(SimulatedClick((3, 4), is_foreground=True)).index == (3, 4, 2)
    assert scene.limits(("T2",)) == PropagationLimits(only_slice=2, sequences=("T2",))


def test_in_3d_the_truth_is_the_volume_and_masks_may_reach_64_slices(volume: Scene) -> None:
    assert volume.truth.shape == (32, 32, 4)
    assert volume.spacing_mm == (2.0, 2.0, 5.0)
    assert volume.in_volume(SimulatedClick((3, 4, 1), is_foreground=True)).index == (3, 4, 1)
    assert volume.limits(()) == PropagationLimits(max_slices=64)


def test_a_sequence_without_tissue_on_the_slice_does_not_answer(volume: Scene) -> None:
    assert [scene.sequences for scene in slices_of(volume)] == [("T2",), ("T2", "FLAIR")]


def test_a_volume_that_is_cut_keeps_the_places_of_its_voxels(volume: Scene) -> None:
    cut = volume.on_slices(1, 3)
    assert cut.stack.frame.grid.shape == (32, 32, 3)
    assert (cut.stack.frame.grid.affine_ras @ [0, 0, 0, 1]).tolist() == [0, 0, 5, 1]
    assert np.flatnonzero(cut.volume.any(axis=(0, 1))).tolist() == [0, 1]
    assert cut.stack.tissue.tolist() == [[True, True, True], [False, True, True]]


def test_slices_come_before_the_volume(volume: Scene) -> None:
    assert [scene.dimensions for scene in scenes_of(volume, [3, 2])] == [2, 2, 3]
