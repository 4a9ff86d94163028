"""Masks go on slice by slice: as far as there is time, and no slice twice for the same prompts."""

from collections.abc import Sequence

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from tests.memory_cache import MemoryCache
from tests.prompts.fake_clock import FakeClock
from tests.prompts.test_segmenter import INSIDE, OBJECT, FillsBoxes, TwoTissues, at, stack_of
from zeus_app.encoders.cached import CachedImageEncoder
from zeus_app.progress import silent
from zeus_app.prompts.kept_masks import KeptMasks
from zeus_app.prompts.propagation import PropagationLimits
from zeus_app.prompts.segmenter import ClickMasks, ClickSegmenter
from zeus_app.prompts.types import BoxPx, StudyPrompt, Voxel
from zeus_app.server.lifecycle.server_command import CHECKOUT
from zeus_app.studies.align import align
from zeus_app.studies.slices import slice_stack
from zeus_app.types import MIB, FloatArray, SliceStack, Study, Volume

FAR = 64  # more slices than any study here has


class SlowEncoder(TwoTissues):
    """Takes a second for each picture, by a clock that stands still otherwise."""

    def __init__(self, stack: SliceStack) -> None:
        super().__init__()
        self.stack, self.clock, self.slices = stack, FakeClock(), list[int]()

    def encode(self, pictures: FloatArray) -> FloatArray:
        self.clock.now_s += len(pictures)
        (same,) = np.nonzero((self.stack.pixels[0] == pictures[0]).all(axis=(1, 2)))
        self.slices += same.tolist()
        return super().encode(pictures)


class CountingBoxes(FillsBoxes):
    """Counts the slices that it decodes."""

    decoded = 0

    def forward(self, embeddings: torch.Tensor, boxes: Sequence[BoxPx]) -> torch.Tensor:
        self.decoded += 1
        return super().forward(embeddings, boxes)


class Desk:
    """A segmenter, its encoder and its decoder, for clicks on one study of one sequence."""

    def __init__(self) -> None:
        self.stack = stack_of(T2=OBJECT)
        self.encoder, self.decoder = SlowEncoder(self.stack), CountingBoxes()
        self.segmenter = ClickSegmenter(
            images=CachedImageEncoder(self.encoder, MemoryCache(), batch=1),
            decoder=self.decoder,
            threshold=0.5,
            device=torch.device("cpu"),
            kept=KeptMasks(limit_bytes=MIB),
            clock=self.encoder.clock,
        )

    def click(self, *voxels: Voxel, encode_s: float = 1e9, first: int = 3) -> ClickMasks:
        limits = PropagationLimits(max_slices=FAR, first_slice=first, encode_s=encode_s)
        return self.segmenter.answer(self.stack, {0: at(*voxels)}, limits=limits, report=silent)

    def decoded_by(self, *voxels: Voxel) -> int:
        """How many slices are decoded for these clicks."""
        before = self.decoder.decoded
        self.click(*voxels)
        return self.decoder.decoded - before


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_slices_are_encoded_outwards_from_the_click_in_turn(desk: Desk) -> None:
    """The object fills slices 2 to 5. Its mask ends where the slices 1 and 6 do not show it."""
    answer = desk.click(INSIDE)
    assert desk.encoder.slices == [3, 4, 2, 5, 1, 6]
    assert (answer.reached, answer.is_complete) == ({0: (2, 5)}, True)


def test_the_time_ends_the_encoding_and_the_same_request_goes_on(desk: Desk) -> None:
    """2.5 s are enough for two pictures."""
    answers = [desk.click(INSIDE, encode_s=2.5) for _ in range(3)]
    assert [answer.reached for answer in answers] == [{0: (3, 4)}, {0: (2, 5)}, {0: (2, 5)}]
    assert [answer.is_complete for answer in answers] == [False, False, True]
    assert np.array_equal(answers[-1].label_map, Desk().click(INSIDE).label_map)


def test_the_first_prompted_slice_takes_as_long_as_it_takes(desk: Desk) -> None:
    answer = desk.click(INSIDE, encode_s=0)
    assert (answer.reached, answer.is_complete) == ({0: (3, 3)}, False)


def test_the_slice_of_the_newest_click_is_the_first(desk: Desk) -> None:
    answer = desk.click(INSIDE, (24.0, 40.0, 5.0), encode_s=0, first=5)
    assert (desk.encoder.slices, answer.reached) == ([5], {0: (5, 5)})


def test_slices_that_are_encoded_already_count_after_the_time(desk: Desk) -> None:
    complete = desk.click(INSIDE)
    answer = desk.click((25.0, 41.0, 3.0), encode_s=0)
    assert answer.is_complete
    assert answer.reached == complete.reached


def test_in_time_no_slice_waits_for_the_slices_of_another_label(desk: Desk) -> None:
    """Both labels are clicked on slice 3, whose picture they share."""
    limits = PropagationLimits(max_slices=FAR, first_slice=3, encode_s=2.5)
    prompts = {0: at(INSIDE), 1: at((22.0, 36.0, 3.0))}
    answer = desk.segmenter.answer(desk.stack, prompts, limits=limits, report=silent)
    assert answer.reached == {0: (3, 4), 1: (3, 4)}


def test_the_same_request_again_decodes_nothing(desk: Desk) -> None:
    assert desk.decoded_by(INSIDE) == 6  # the slices 1 to 6
    assert desk.decoded_by(INSIDE) == 0


def test_a_click_on_another_slice_decodes_nothing_on_the_far_side_of_the_first(desk: Desk) -> None:
    """Slices 1, 2 and 4 keep their prompts: the mask of slice 3."""
    desk.click(INSIDE)
    assert desk.decoded_by(INSIDE, (24.0, 40.0, 5.0)) <= 2  # 5, and 6 if the mask of 5 changed


def test_a_click_that_is_taken_back_decodes_nothing(desk: Desk) -> None:
    desk.click(INSIDE)
    desk.click(INSIDE, (26.0, 44.0, 3.0))
    assert desk.decoded_by(INSIDE) == 0


class Textures:
    """Each channel is another wave of the cells' brightness and of their neighbours'."""

    id = "textures"

    def encode(self, pictures: FloatArray) -> FloatArray:
        cells = pictures.reshape(-1, 1, 64, 4, 64, 4).mean(axis=(3, 5))
        near = (np.roll(cells, 2, axis=2) + np.roll(cells, 2, axis=3)) / 2
        wave = np.arange(1, 257).reshape(1, -1, 1, 1) / 40
        embeddings: FloatArray = np.sin(wave * cells + near * wave[:, ::-1]).astype(np.float16)
        return embeddings


class BrightInBoxes(FillsBoxes):
    """Answers a box with the cells in it that are like its middle."""

    def forward(self, embeddings: torch.Tensor, boxes: Sequence[BoxPx]) -> torch.Tensor:
        inside = super().forward(embeddings, boxes) > 0
        wave = nn.functional.interpolate(embeddings[:, 8:9].float(), size=256)[:, 0]
        rows = [round((top + bottom) / 2) for _, top, _, bottom in boxes]
        cols = [round((left + right) / 2) for left, _, right, _ in boxes]
        middle = wave[range(len(boxes)), rows, cols]
        return torch.where(inside, 2 - 8 * (wave - middle[:, None, None]).abs(), -10.0)


def segmenter_with(kept_mib: float) -> ClickSegmenter:
    return ClickSegmenter(
        images=CachedImageEncoder(Textures(), MemoryCache(), batch=2),
        decoder=BrightInBoxes(),
        threshold=0.5,
        device=torch.device("cpu"),
        kept=KeptMasks(limit_bytes=int(kept_mib * MIB)),
    )


def phantom() -> SliceStack:
    folder = CHECKOUT / "sample_data" / "phantoms" / "studies" / "phantom_16"
    images = {name: nib.load(folder / f"phantom_16_{name.lower()}.nii.gz")
              for name in ("T2", "FLAIR")}  # fmt: skip
    volumes = {name: Volume(np.asarray(image.dataobj, np.float32), image.affine)
               for name, image in images.items()}  # fmt: skip
    return slice_stack(align(Study("phantom_16", volumes), "T2"), ("T2", "FLAIR"))


def random_clicks(rng: np.random.Generator) -> list[dict[int, StudyPrompt]]:
    """Prompts of two labels after each step: a click more, a click less, or a box."""
    prompts, steps = {0: StudyPrompt(), 1: StudyPrompt()}, []
    for _ in range(5):
        k = int(rng.integers(2))
        old = prompts[k]
        i, j, s = rng.integers((40, 55, 2), (75, 80, 9)).tolist()
        new = (float(i), float(j), float(s))
        prompts[k] = {
            0: StudyPrompt((*old.foreground, new), old.background, old.box),
            1: StudyPrompt((*old.foreground, new), old.background, old.box),
            2: StudyPrompt(old.foreground, (*old.background, new), old.box),
            3: StudyPrompt(old.foreground[:-1], old.background, old.box),
            4: StudyPrompt(old.foreground, old.background, (new, (i + 9, j + 7, s + 1))),
        }[int(rng.integers(5))]
        steps.append({k: prompt for k, prompt in prompts.items() if prompt.has_prompts})
    return steps


@pytest.mark.parametrize(
    ("seed", "kept_mib"),
    [(0, 8), (3, 8), (1, 0.05)],  # all masks are kept; a few of them
)
def test_after_every_click_the_answer_is_that_of_a_full_computation(
    seed: int, kept_mib: float
) -> None:
    stack, incremental, full = phantom(), segmenter_with(kept_mib), segmenter_with(0)
    for prompts in random_clicks(np.random.default_rng(seed)):
        limits = PropagationLimits(max_slices=FAR)
        answers = [
            segmenter.answer(stack, prompts, limits=limits, report=silent)
            for segmenter in (incremental, full)
        ]
        assert np.array_equal(answers[0].label_map, answers[1].label_map)
        assert answers[0].reached == answers[1].reached
