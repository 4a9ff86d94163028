"""Cached encoders: what is encoded, what is pinned, and what a full memory does."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import pytest
import torch

from zeus_app.encoders.cached import CachedImageEncoder, CachedTextEncoder, CachedVisionEncoder
from zeus_app.errors import InputError
from zeus_app.progress import silent
from zeus_app.storage.cache import Cache
from zeus_app.types import FloatArray

PICTURES = [np.full((256, 256), level, np.float32) for level in (0.2, 0.5, 0.8)]


class Means:
    """An encoder whose embedding is the picture's mean; it records each batch."""

    def __init__(self, name: str = "means") -> None:
        self.id = name
        self.batches: list[list[float]] = []

    def encode(self, pictures: FloatArray) -> FloatArray:
        means = [round(float(picture.mean()), 3) for picture in pictures]
        self.batches.append(means)
        return np.array(means, np.float16)[:, None, None, None] * np.ones((256, 64, 64), np.float16)


class DictCache(dict[str, FloatArray]):
    """A cache in memory that records the pinned keys, and its size when each pin was set."""

    def __init__(self) -> None:
        self.pinned: list[list[str]] = []
        self.sizes_when_pinned: list[int] = []

    def put(self, key: str, value: FloatArray) -> None:
        self[key] = value

    @contextmanager
    def pin(self, keys: Sequence[str]) -> Iterator[None]:
        self.pinned.append(list(keys))
        self.sizes_when_pinned.append(len(self))
        yield
        self.pinned.remove(list(keys))


def cached(encoder: Means, cache: DictCache) -> CachedImageEncoder:
    return CachedImageEncoder(encoder, cast(Cache, cache), batch=2)


def test_only_what_is_missing_is_encoded() -> None:
    encoder, cache = Means(), DictCache()
    images = cached(encoder, cache)
    images.encode_missing(PICTURES[1:2], report=silent)
    images.encode_missing(PICTURES, report=silent)
    assert encoder.batches == [[0.5], [0.2, 0.8]]


def test_a_click_encodes_its_own_picture_alone() -> None:
    encoder = Means()
    images = cached(encoder, DictCache())
    embedding = images.get(images.key(PICTURES[2]), PICTURES[2])
    assert encoder.batches == [[0.8]]
    assert embedding.mean() == pytest.approx(0.8, abs=1e-3)


def test_an_embedding_of_one_model_serves_another_by_the_content_of_the_picture() -> None:
    cache, training, clicking = DictCache(), Means(), Means()
    cached(training, cache).encode_missing(PICTURES, report=silent)
    images = cached(clicking, cache)
    images.get(images.key(PICTURES[0].copy()), PICTURES[0])
    assert clicking.batches == []


def test_an_embedding_of_another_encoder_is_not_used() -> None:
    cache, other = DictCache(), Means("other precision")
    cached(Means(), cache).encode_missing(PICTURES[:1], report=silent)
    cached(other, cache).encode_missing(PICTURES[:1], report=silent)
    assert other.batches == [[0.2]]


def test_a_lost_embedding_without_its_picture_says_what_to_do() -> None:
    images = cached(Means(), DictCache())
    with pytest.raises(InputError, match="raise the setting cache_gib"):
        images.get(images.key(PICTURES[0]), None)


def test_embeddings_are_pinned_before_the_rest_is_encoded_and_until_the_context_ends() -> None:
    cache = DictCache()
    images = cached(Means(), cache)
    with images.pin_embeddings():
        first = images.encode_missing(PICTURES[:1], report=silent, pin=True)
        keys = images.encode_missing(PICTURES[:2], report=silent, pin=True)
        assert cache.pinned == [first, keys]
        assert cache.sizes_when_pinned == [0, 1]
    assert cache.pinned == []


def test_embeddings_are_pinned_only_on_request_and_within_the_context() -> None:
    cache = DictCache()
    images = cached(Means(), cache)
    with images.pin_embeddings():
        images.encode_missing(PICTURES, report=silent)
        assert cache.pinned == []
    images.encode_missing(PICTURES, report=silent, pin=True)
    assert cache.pinned == []


class SmallMemory:
    """Encoders on a device whose memory holds `capacity` pictures or texts."""

    id, dim = "small", 1

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity

    def encode(self, batch: Sequence[object]) -> FloatArray:
        if len(batch) > self.capacity:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return np.array(
            [[item.mean() if isinstance(item, np.ndarray) else len(str(item))] for item in batch]
        )


TEXTS = ["a", "bb", "ccc"]


def small_memory(capacity: int) -> Any:
    return SmallMemory(capacity)


def test_texts_too_many_for_memory_are_encoded_in_parts() -> None:
    texts = CachedTextEncoder(small_memory(1), cast(Cache, DictCache()))
    assert texts.encode(TEXTS)[:, 0].tolist() == [1, 2, 3]


def test_pictures_too_many_for_memory_are_encoded_in_parts() -> None:
    all_at_once = CachedVisionEncoder(small_memory(3), cast(Cache, DictCache())).encode(PICTURES)
    parts = CachedVisionEncoder(small_memory(1), cast(Cache, DictCache())).encode(PICTURES)
    np.testing.assert_array_equal(parts, all_at_once)


@pytest.mark.parametrize("encode", [
    lambda encoder, cache: CachedTextEncoder(encoder, cache).encode(TEXTS[:1]),
    lambda encoder, cache: CachedVisionEncoder(encoder, cache).encode(PICTURES[:1]),
    lambda encoder, cache: CachedImageEncoder(encoder, cache, batch=1).get("lost", PICTURES[0]),
], ids=["text", "vision", "image"])  # fmt: skip
def test_one_text_or_picture_too_large_for_memory_is_refused(
    encode: Callable[[Any, Cache], object],
) -> None:
    with pytest.raises(InputError, match="does not hold one row"):
        encode(small_memory(0), cast(Cache, DictCache()))
