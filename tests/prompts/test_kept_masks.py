"""Masks of slices are kept under the prompts that made them, within a limit, and per study."""

import gc

import numpy as np
import pytest

from tests.prompts.test_segmenter import OBJECT, stack_of
from zeus_app.prompts.kept_masks import KeptMasks, crop, prompt_key, uncrop
from zeus_app.prompts.types import SlicePrompt
from zeus_app.types import FloatArray

KIB = 1024


def array(kib: float) -> tuple[FloatArray]:
    return (np.zeros(round(kib * KIB / 4), np.float32),)


def test_a_mask_is_found_under_its_key_and_its_study() -> None:
    kept, stack, other = KeptMasks(limit_bytes=9 * KIB), stack_of(T2=OBJECT), stack_of(T2=OBJECT)
    mask = array(1)
    kept.put(stack, "slice 3", mask)
    assert kept.get(stack, "slice 3") is mask
    assert kept.get(stack, "slice 4") is None
    assert kept.get(other, "slice 3") is None


def test_the_least_recently_used_mask_of_all_studies_goes_first() -> None:
    first, second = stack_of(T2=OBJECT), stack_of(T2=OBJECT)
    kept = KeptMasks(limit_bytes=6 * KIB)  # three of 1.5 KiB and their keys
    kept.put(first, "a", array(1.5))
    kept.put(first, "b", array(1.5))
    kept.put(second, "c", array(1.5))
    kept.get(first, "a")
    kept.put(second, "d", array(1.5))
    names = [(first, "a"), (first, "b"), (second, "c"), (second, "d")]
    assert [kept.get(*name) is not None for name in names] == [True, False, True, True]
    assert kept.nbytes <= 6 * KIB


def test_a_mask_that_is_put_again_counts_once() -> None:
    kept, stack = KeptMasks(limit_bytes=100 * KIB), stack_of(T2=OBJECT)
    kept.put(stack, "a", array(1))
    once = kept.nbytes
    kept.put(stack, "a", array(1))
    assert kept.nbytes == once


def test_a_limit_of_zero_keeps_nothing() -> None:
    kept, stack = KeptMasks(limit_bytes=0), stack_of(T2=OBJECT)
    kept.put(stack, "a", array(1))
    assert (kept.get(stack, "a"), kept.nbytes) == (None, 0)


def test_the_masks_of_a_study_go_with_its_slices() -> None:
    kept, stack = KeptMasks(limit_bytes=100 * KIB), stack_of(T2=OBJECT)
    kept.put(stack, "a", array(1))
    assert kept.nbytes > 0
    del stack
    gc.collect()
    assert kept.nbytes == 0


@pytest.mark.parametrize("box", [np.s_[0:0, 0:0], np.s_[3:200, 7:9], np.s_[0:256, 0:256]])
def test_cropped_probabilities_are_the_same_when_they_come_back(box: tuple[slice, slice]) -> None:
    probabilities = np.zeros((256, 256), np.float32)
    probabilities[box] = np.random.default_rng(1).uniform(0.1, 1, probabilities[box].shape)
    assert np.array_equal(uncrop(crop(probabilities)), probabilities)


def test_a_small_mask_takes_little_memory() -> None:
    probabilities = np.zeros((256, 256), np.float32)
    probabilities[100:120, 50:80] = 0.5
    assert sum(part.nbytes for part in crop(probabilities)) < 3 * KIB


MASK, OTHER = np.zeros((2, 256, 256), np.bool_)
MASK[3, 4] = OTHER[3, 5] = True


@pytest.mark.parametrize(
    "other",
    [
        SlicePrompt(((1, 2), (3, 5)), ((5, 6),), (1, 2, 3, 4), MASK),
        SlicePrompt(((1, 2), (3, 4)), (), (1, 2, 3, 4), MASK),
        SlicePrompt(((1, 2), (3, 4)), ((5, 6),), None, MASK),
        SlicePrompt(((1, 2), (3, 4)), ((5, 6),), (1, 2, 3, 4), OTHER),
        SlicePrompt(((1, 2), (3, 4)), ((5, 6),), (1, 2, 3, 4)),
    ],
)
def test_another_point_box_or_initial_mask_is_another_key(other: SlicePrompt) -> None:
    prompt = SlicePrompt(((1, 2), (3, 4)), ((5, 6),), (1, 2, 3, 4), MASK)
    equal = SlicePrompt(((1, 2), (3, 4)), ((5, 6),), (1, 2, 3, 4), MASK.copy())
    assert prompt_key(prompt) == prompt_key(equal)
    assert prompt_key(prompt) != prompt_key(other)
