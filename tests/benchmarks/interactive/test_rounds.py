"""Rounds with methods whose answers are known; nothing is decoded."""

from collections.abc import Mapping

import numpy as np
import pytest

from benchmarks.interactive.rounds import play
from benchmarks.interactive.scenes import Scene, slices_of
from zeus_app.progress import Report, silent
from zeus_app.prompts.propagation import PropagationLimits
from zeus_app.prompts.types import StudyPrompt
from zeus_app.types import LabelArray, SliceStack


class Recorded:
    """Answers with masks of these sizes in turn: columns of the box 8:18 × 6:18."""

    def __init__(self, *columns: int, cold: tuple[int, ...] = ()) -> None:
        self.columns, self.cold = columns, cold
        self.prompts: list[StudyPrompt] = []
        self.limits: list[PropagationLimits] = []

    def __call__(
        self,
        stack: SliceStack,
        prompts: Mapping[int, StudyPrompt],
        *,
        limits: PropagationLimits,
        report: Report,
    ) -> LabelArray:
        number = len(self.prompts)
        if number in self.cold:
            report("encoding", 0, 1)
        report("prompted slices", 0, 1)
        self.prompts.append(prompts[0])
        self.limits.append(limits)
        label_map = np.zeros(stack.frame.grid.shape, np.uint8)
        label_map[8 : 8 + self.columns[number], 6:18, 1:3] = 1
        return label_map


def test_dsc_follows_each_click(volume: Scene) -> None:
    played = play(Recorded(5, 10), volume, sequences=(), clicks=2, report=silent)
    assert list(played.dsc) == pytest.approx([2 / 3, 1.0])


def test_a_perfect_answer_ends_the_round(volume: Scene) -> None:
    method = Recorded(10)
    assert play(method, volume, sequences=(), clicks=5, report=silent).dsc == (1.0,)
    assert len(method.prompts) == 1


def test_each_next_click_goes_into_the_largest_error_beside_the_earlier_ones(volume: Scene) -> None:
    method = Recorded(0, 12, 10)
    play(method, volume, sequences=(), clicks=3, report=silent)
    # The box is 20 mm × 24 mm × 10 mm; every voxel with 5 mm to both sides is as good.
    (first,) = method.prompts[0].foreground
    assert volume.volume[tuple(map(int, first))]
    assert method.prompts[1].foreground == (first, first)  # all is missed still
    (background,) = method.prompts[2].background
    assert background[0] in (18, 19)  # the two columns too much


def test_in_2d_the_slice_alone_is_asked_about_and_scored(volume: Scene) -> None:
    method = Recorded(5)
    scene = slices_of(volume)[0]
    played = play(method, scene, sequences=("T2",), clicks=1, report=silent)
    assert method.limits == [PropagationLimits(only_slice=1, sequences=("T2",))]
    assert method.prompts[0].foreground[0][2] == 1
    assert list(played.dsc) == pytest.approx([2 / 3])


def test_an_answer_is_cold_if_pictures_were_encoded_for_it(volume: Scene) -> None:
    method = Recorded(2, 3, 4, cold=(0, 2))
    played = play(method, volume, sequences=(), clicks=3, report=silent)
    assert played.is_cold == (True, False, True)
    assert len(played.seconds) == 3
