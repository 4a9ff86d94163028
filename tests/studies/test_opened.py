"""An opened study keeps slices and grids, and nothing of the full-resolution volumes."""

import numpy as np
import pytest

from tests.painted import grid, in_order
from zeus_app.errors import InputError
from zeus_app.studies.opened import open_study
from zeus_app.targets import load_target
from zeus_app.types import Grid, Study, Volume

TARGET = load_target("phantom")  # T2, the reference, and FLAIR
T2 = in_order(grid((24, 20, 6), (1, 1, 3)), "LPS")
FLAIR = in_order(grid((12, 10, 6), (2, 2, 3)), "RAS")


def painted(on: Grid) -> Volume:
    voxels = np.zeros(on.shape, np.float32)
    voxels[4:8, 4:8] = 100
    voxels[5, 5] = 200
    return Volume(voxels, on.affine_ras)


def test_answers_lie_on_the_reference_s_grid_as_it_was_stored() -> None:
    study = open_study(Study("a", {"FLAIR": painted(FLAIR), "T2": painted(T2)}), TARGET)
    assert study.reference == "T2"
    assert study.source_grid.matches(T2)
    assert study.source_grids["FLAIR"].matches(FLAIR)


def test_slices_lie_on_the_reference_s_grid_turned_to_ras() -> None:
    study = open_study(Study("a", {"T2": painted(T2)}), TARGET)
    assert study.grid.matches(in_order(T2, "RAS"))
    assert study.stack.pixels.shape == (2, 6, 256, 256)


def test_a_sequence_that_the_study_lacks_is_missing() -> None:
    study = open_study(Study("a", {"FLAIR": painted(FLAIR)}), TARGET)
    assert study.used == ("FLAIR",)
    assert study.missing == ("T2",)


def test_a_study_without_a_sequence_of_the_target_is_refused() -> None:
    with pytest.raises(InputError, match="ADC"):
        open_study(Study("a", {"ADC": painted(FLAIR)}), TARGET)


def test_chosen_sequences_leave_the_grid_and_hide_the_others() -> None:
    whole = open_study(Study("a", {"FLAIR": painted(FLAIR), "T2": painted(T2)}), TARGET)
    study = whole.with_sequences(("FLAIR",))
    assert study.used == ("FLAIR",)
    assert study.missing == ("T2",)
    assert study.grid.matches(in_order(T2, "RAS"))
    assert study.source_grids.keys() == {"T2", "FLAIR"}
    assert not study.stack.tissue[0].any()
    assert not study.stack.pixels[0].any()
    np.testing.assert_array_equal(study.stack.pixels[1], whole.stack.pixels[1])
    np.testing.assert_array_equal(study.stack.tissue[1], whole.stack.tissue[1])
    assert whole.used == ("T2", "FLAIR")
