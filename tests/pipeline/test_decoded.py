"""A repeated segmentation of an opened study runs no network."""

import gc
import weakref
from collections.abc import Mapping

import numpy as np

from tests.pipeline.bright_model import UPRIGHT, BrightIsObject, opened, segmenter, stairs
from zeus_app.pipeline.decoded import DecodedCache, DecodedStudy
from zeus_app.pipeline.segmenter import Segmenter
from zeus_app.types import Guidance

TEXTS: Mapping[tuple[str, str], str] = {("T2", "object"): "bright"}


def runs_of(model: BrightIsObject) -> int:
    return len(model.prepared)


def started() -> tuple[BrightIsObject, Segmenter]:
    model = BrightIsObject()
    return model, segmenter(model=model)


def test_the_same_opened_study_is_decoded_once_and_gives_the_same_mask() -> None:
    model, zeus = started()
    study = opened(T2=stairs(UPRIGHT))
    first, second = zeus.segment(study), zeus.segment(study)
    assert runs_of(model) == 1
    assert first.label_map.array.any()
    np.testing.assert_array_equal(second.label_map.array, first.label_map.array)


def test_another_text_or_scope_is_decoded() -> None:
    model, zeus = started()
    study = opened(T2=stairs(UPRIGHT))
    for guidance in (Guidance(), Guidance(TEXTS), Guidance(TEXTS, "none"), Guidance(TEXTS, "none")):
        zeus.segment(study, guidance=guidance)
    assert runs_of(model) == 3


def test_a_study_that_is_opened_again_is_decoded_again() -> None:
    model, zeus = started()
    for _ in range(2):
        zeus.segment(opened(T2=stairs(UPRIGHT)))
    assert runs_of(model) == 2


def test_other_weights_find_no_label_maps() -> None:
    stack = opened(T2=stairs(UPRIGHT)).stack
    cache, decoded = (
        DecodedCache(limit_bytes=1000),
        DecodedStudy(np.zeros((2, 1, 1, 1), np.uint8), ()),
    )
    cache.save(stack, "v0001", Guidance(), decoded)
    assert cache.get(stack, "v0001", Guidance()) is decoded
    assert cache.get(stack, "v0002", Guidance()) is None


def test_label_maps_go_with_the_slices_of_their_study() -> None:
    cache, study = DecodedCache(limit_bytes=1000), opened(T2=stairs(UPRIGHT))
    decoded = DecodedStudy(np.zeros((3, 1, 1, 1), np.uint8), ())
    cache.save(study.stack, "v0001", Guidance(), decoded)
    alive = weakref.ref(decoded)
    del decoded, study
    gc.collect()
    assert alive() is None


def test_label_maps_above_the_limit_go_with_the_oldest_study() -> None:
    stacks = [opened(T2=stairs(UPRIGHT)).stack for _ in range(3)]
    cache = DecodedCache(limit_bytes=20)
    for stack in stacks:
        cache.save(stack, "v0001", Guidance(), DecodedStudy(np.zeros((2, 5, 1, 1), np.uint8), ()))
    found = [cache.get(stack, "v0001", Guidance()) is not None for stack in stacks]
    assert found == [False, True, True]


def test_the_newest_label_maps_stay_whatever_their_size() -> None:
    stack, cache = opened(T2=stairs(UPRIGHT)).stack, DecodedCache(limit_bytes=0)
    decoded = DecodedStudy(np.zeros((2, 5, 1, 1), np.uint8), ())
    cache.save(stack, "v0001", Guidance(), decoded)
    assert cache.get(stack, "v0001", Guidance()) is decoded
