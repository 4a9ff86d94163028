"""Clicks on a study: segmented slices, the extent of a mask, and the pictures it encodes."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from tests.memory_cache import MemoryCache
from zeus_app.encoders.cached import CachedImageEncoder
from zeus_app.errors import InputError
from zeus_app.progress import silent
from zeus_app.prompts.decoder import PromptDecoder
from zeus_app.prompts.propagation import PROPAGATING, PropagationLimits
from zeus_app.prompts.segmenter import PROMPTED, ClickSegmenter
from zeus_app.prompts.types import BoxPx, StudyPrompt, Voxel
from zeus_app.studies.align import align
from zeus_app.studies.slices import slice_stack
from zeus_app.types import BoolArray, FloatArray, SliceStack, Study, Volume

SHAPE = (64, 64, 9)
OBJECT = np.s_[20:30, 34:50, 2:6]  # asymmetric in every direction
INSIDE = (24.0, 40.0, 3.0)


class TwoTissues:
    """Bright cells have one embedding, all others another. Counts the encoded pictures."""

    id = "two tissues"

    def __init__(self) -> None:
        self.encoded = 0

    def encode(self, pictures: FloatArray) -> FloatArray:
        self.encoded += len(pictures)
        cells = pictures.reshape(-1, 64, 4, 64, 4).mean(axis=(2, 4))
        embedding = np.zeros((len(pictures), 256, 64, 64), np.float16)
        embedding[:, 0], embedding[:, 1] = cells < 0.8, cells >= 0.8
        return embedding


class FillsBoxes(PromptDecoder):
    """Answers a box with the box."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, embeddings: torch.Tensor, boxes: Sequence[BoxPx]) -> torch.Tensor:
        logits = torch.full((len(boxes), 256, 256), -10.0)
        for row, (left, top, right, bottom) in zip(logits, boxes, strict=True):
            row[round(top) : round(bottom), round(left) : round(right)] = 10
        return logits


@pytest.fixture
def encoder() -> TwoTissues:
    return TwoTissues()


def segmenter_of(encoder: TwoTissues, decoder: FillsBoxes, store: MemoryCache) -> ClickSegmenter:
    return ClickSegmenter(
        images=CachedImageEncoder(encoder, store, batch=4),
        decoder=decoder,
        threshold=0.5,
        device=torch.device("cpu"),
    )


@pytest.fixture
def segmenter(encoder: TwoTissues) -> ClickSegmenter:
    return segmenter_of(encoder, FillsBoxes(), MemoryCache())


def stack_of(**bright: tuple[slice, ...]) -> SliceStack:
    """A head of 300 on 0; each sequence shows its own bright object."""
    volumes = {}
    for name, region in bright.items():
        array = np.zeros(SHAPE, np.float32)
        array[4:60, 4:60] = np.linspace(280, 320, SHAPE[2])
        array[region] = 900
        volumes[name] = Volume(array, np.diag([1.0, 1.0, 3.0, 1.0]))
    return slice_stack(align(Study("s", volumes), "T2"), ("T2", "FLAIR"))


def at(*voxels: Voxel, **background: tuple[float, float, float]) -> StudyPrompt:
    return StudyPrompt(tuple(voxels), tuple(background.values()))


def test_in_2d_the_clicked_slice_alone_answers(segmenter: ClickSegmenter) -> None:
    answer = segmenter.segment(
        stack_of(T2=OBJECT), {0: at(INSIDE)}, limits=PropagationLimits(only_slice=3), report=silent
    )
    assert np.flatnonzero(answer.any(axis=(0, 1))).tolist() == [3]
    x, y = np.nonzero(answer[..., 3])
    assert (x.min(), x.max() + 1, y.min(), y.max() + 1) == pytest.approx((20, 30, 34, 50), abs=1)


def test_in_3d_the_mask_goes_both_ways_until_the_object_ends(segmenter: ClickSegmenter) -> None:
    answer = segmenter.segment(
        stack_of(T2=OBJECT), {0: at(INSIDE)}, limits=PropagationLimits(max_slices=9), report=silent
    )
    assert np.flatnonzero(answer.any(axis=(0, 1))).tolist() == [2, 3, 4, 5]


def test_the_user_sets_how_far_it_goes(segmenter: ClickSegmenter) -> None:
    answer = segmenter.segment(
        stack_of(T2=OBJECT), {0: at(INSIDE)}, limits=PropagationLimits(max_slices=1), report=silent
    )
    assert np.flatnonzero(answer.any(axis=(0, 1))).tolist() == [2, 3, 4]


def test_a_part_that_only_one_sequence_shows_needs_a_second_click(
    segmenter: ClickSegmenter,
) -> None:
    """FLAIR shows a longer object than T2 around the same click."""
    stack = stack_of(T2=OBJECT, FLAIR=np.s_[20:40, 34:50, 2:6])
    further = (36.0, 40.0, 3.0)
    first = segmenter.segment(
        stack, {0: at(INSIDE)}, limits=PropagationLimits(only_slice=3), report=silent
    )
    both = segmenter.segment(
        stack, {0: at(INSIDE, further)}, limits=PropagationLimits(only_slice=3), report=silent
    )
    flair = PropagationLimits(only_slice=3, sequences=("FLAIR",))
    chosen = segmenter.segment(stack, {0: at(INSIDE)}, limits=flair, report=silent)
    voxels = [(24, 40, 3), (32, 40, 3)]
    assert [first[voxel] for voxel in voxels] == [1, 0]
    assert [both[voxel] for voxel in voxels] == [1, 1]
    assert [chosen[voxel] for voxel in voxels] == [1, 1]


def test_each_label_answers_to_its_own_clicks(segmenter: ClickSegmenter) -> None:
    stack = stack_of(T2=OBJECT, FLAIR=np.s_[40:50, 10:20, 2:6])
    answer = segmenter.segment(
        stack,
        {0: at(INSIDE), 1: at((45.0, 15.0, 3.0))},
        limits=PropagationLimits(only_slice=3, sequences=("T2", "FLAIR")),
        report=silent,
    )
    assert answer[24, 40, 3] == 1
    assert answer[45, 15, 3] == 2


def test_a_click_encodes_the_slices_it_needs_and_no_other(
    segmenter: ClickSegmenter, encoder: TwoTissues
) -> None:
    stack = stack_of(T2=OBJECT, FLAIR=OBJECT)
    for _ in range(2):
        segmenter.segment(
            stack, {0: at(INSIDE)}, limits=PropagationLimits(only_slice=3), report=silent
        )
    assert encoder.encoded == 2  # one slice of two sequences, once


def test_a_box_needs_no_click(segmenter: ClickSegmenter) -> None:
    box = StudyPrompt(box=((20, 34, 3), (29, 49, 3)))
    answer = segmenter.segment(
        stack_of(T2=OBJECT), {0: box}, limits=PropagationLimits(), report=silent
    )
    expected = np.zeros(SHAPE, np.uint8)
    expected[20:30, 34:50, 3] = 1
    assert np.array_equal(answer, expected)


def test_a_background_click_is_not_in_the_mask(segmenter: ClickSegmenter) -> None:
    background = (27.0, 46.0, 3.0)
    answer = segmenter.segment(
        stack_of(T2=OBJECT),
        {0: at(INSIDE, b=background)},
        limits=PropagationLimits(only_slice=3),
        report=silent,
    )
    assert answer[24, 40, 3] == 1
    assert answer[27, 46, 3] == 0


def test_a_click_into_the_air_says_so(segmenter: ClickSegmenter) -> None:
    stack = stack_of(T2=OBJECT)
    stack.tissue[:, 8] = False
    with pytest.raises(InputError, match="shows tissue"):
        segmenter.segment(
            stack, {0: at((24.0, 40.0, 8.0))}, limits=PropagationLimits(only_slice=8), report=silent
        )


def mask_on(*slices: int) -> BoolArray:
    """A mask that does not match the object."""
    mask = np.zeros(SHAPE, np.bool_)
    mask[22:26, 36:40, slices] = True
    return mask


def test_an_initial_mask_without_a_click_is_the_answer(
    segmenter: ClickSegmenter, encoder: TwoTissues
) -> None:
    mask = mask_on(1, 3)
    answer = segmenter.segment(
        stack_of(T2=OBJECT),
        {1: StudyPrompt(initial_mask=mask)},
        limits=PropagationLimits(max_slices=9),
        report=silent,
    )
    assert np.array_equal(answer, 2 * mask)
    assert encoder.encoded == 0


def test_a_click_changes_an_initial_mask_on_its_own_slice_alone(segmenter: ClickSegmenter) -> None:
    mask = mask_on(2, 3, 4)
    answer = segmenter.segment(
        stack_of(T2=OBJECT),
        {0: StudyPrompt((INSIDE,), initial_mask=mask)},
        limits=PropagationLimits(max_slices=9),
        report=silent,
    )
    assert answer[..., 3].sum() > mask[..., 3].sum()
    assert np.array_equal(answer[..., [2, 4]], mask[..., [2, 4]])


def test_a_click_on_one_label_leaves_the_initial_mask_of_another(
    segmenter: ClickSegmenter,
) -> None:
    elsewhere = np.zeros(SHAPE, np.bool_)
    elsewhere[50:54, 8:12, 3] = True
    answer = segmenter.segment(
        stack_of(T2=OBJECT),
        {0: at(INSIDE), 1: StudyPrompt(initial_mask=elsewhere)},
        limits=PropagationLimits(only_slice=3),
        report=silent,
    )
    assert answer[24, 40, 3] == 1
    assert np.array_equal(answer == 2, elsewhere)


def test_background_clicks_alone_mark_nothing(segmenter: ClickSegmenter) -> None:
    answer = segmenter.segment(
        stack_of(T2=OBJECT),
        {0: at(b=INSIDE)},
        limits=PropagationLimits(only_slice=3),
        report=silent,
    )
    assert not answer.any()


def test_all_prompted_slices_are_segmented_before_any_mask_is_propagated(
    segmenter: ClickSegmenter,
) -> None:
    stages: list[str] = []
    stack = stack_of(T2=OBJECT, FLAIR=np.s_[40:50, 10:20, 2:6])
    segmenter.segment(
        stack,
        {0: at(INSIDE), 1: at((45.0, 15.0, 3.0))},
        limits=PropagationLimits(max_slices=1),
        report=lambda stage, done, total: stages.append(stage),
    )
    decoding = [stage for stage in stages if stage != "encoding"]
    assert decoding == sorted(decoding, key=[PROMPTED, PROPAGATING].index)
    assert {*decoding} == {PROMPTED, PROPAGATING}
