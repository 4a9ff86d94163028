from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from zeus_app.encoders.cached import CachedImageEncoder, CachedTextEncoder, CachedVisionEncoder
from zeus_app.errors import InputError
from zeus_app.progress import silent
from zeus_app.types import FloatArray

PICTURES = [np.full((256, 256), level, np.float32) for level in (0.2, 0.5, 0.8)]


class Means:
    """An embedding is the picture's mean; remembers what it was asked for."""

    def __init__(self, name: str = "means") -> None:
        self.id = name
        self.batches: list[list[float]] = []

    def encode(self, pictures: FloatArray) -> FloatArray:
        means = [round(float(one.mean()), 3) for one in pictures]
        self.batches.append(means)
        return np.array(means, np.float16)[:, None, None, None] * np.ones((256, 64, 64), np.float16)


class Store(dict[str, FloatArray]):
    """Keeps in memory; writes down what is held, and what it held already by then."""

    def __init__(self) -> None:
        self.held: list[list[str]] = []
        self.there_when_held: list[int] = []

    def put(self, key: str, value: FloatArray) -> None:
        self[key] = value

    @contextmanager
    def hold(self, keys: Sequence[str]) -> Iterator[None]:
        self.held.append(list(keys))
        self.there_when_held.append(len(self))
        yield
        self.held.remove(list(keys))


def kept(encoder: Means, store: Store) -> CachedImageEncoder:
    return CachedImageEncoder(encoder, store, batch=2)  # type: ignore[arg-type]


def test_only_what_is_missing_is_encoded() -> None:
    encoder, store = Means(), Store()
    images = kept(encoder, store)
    images.keep(PICTURES[1:2], report=silent)
    images.keep(PICTURES, report=silent)
    assert encoder.batches == [[0.5], [0.2, 0.8]]


def test_a_click_encodes_its_own_picture_alone() -> None:
    encoder = Means()
    images = kept(encoder, Store())
    embedding = images.get(images.key(PICTURES[2]), PICTURES[2])
    assert encoder.batches == [[0.8]]
    assert embedding.mean() == pytest.approx(0.8, abs=1e-3)


def test_what_one_model_keeps_another_finds_by_the_content_of_the_picture() -> None:
    store, training, clicking = Store(), Means(), Means()
    kept(training, store).keep(PICTURES, report=silent)
    images = kept(clicking, store)
    images.get(images.key(PICTURES[0].copy()), PICTURES[0])
    assert clicking.batches == []


def test_another_tower_does_not_take_it_for_its_own() -> None:
    store, other = Store(), Means("other precision")
    kept(Means(), store).keep(PICTURES[:1], report=silent)
    kept(other, store).keep(PICTURES[:1], report=silent)
    assert other.batches == [[0.2]]


def test_a_lost_embedding_without_its_picture_says_what_to_do() -> None:
    images = kept(Means(), Store())
    with pytest.raises(InputError, match="raise the setting cache_gib"):
        images.get(images.key(PICTURES[0]), None)


def test_what_is_to_stay_is_held_before_the_rest_is_encoded_and_until_the_end() -> None:
    store = Store()
    images = kept(Means(), store)
    with images.holding():
        first = images.keep(PICTURES[:1], report=silent, hold=True)
        both = images.keep(PICTURES[:2], report=silent, hold=True)
        assert store.held == [first, both]
        assert store.there_when_held == [0, 1]
    assert store.held == []


def test_what_is_only_looked_at_is_not_held() -> None:
    store = Store()
    images = kept(Means(), store)
    with images.holding():
        images.keep(PICTURES, report=silent)
        assert store.held == []
    images.keep(PICTURES, report=silent, hold=True)
    assert store.held == []


class SmallMemory:
    """Towers on a device that holds so many pictures or texts."""

    id, dim = "small", 1

    def __init__(self, holds: int) -> None:
        self.holds = holds

    def encode(self, batch: Sequence[object]) -> FloatArray:
        if len(batch) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return np.array(
            [[one.mean() if isinstance(one, np.ndarray) else len(str(one))] for one in batch]
        )


TEXTS = ["a", "bb", "ccc"]


def test_texts_too_many_for_memory_are_encoded_in_parts() -> None:
    texts = CachedTextEncoder(SmallMemory(1), Store())  # type: ignore[arg-type]
    assert texts.encode(TEXTS)[:, 0].tolist() == [1, 2, 3]


def test_pictures_too_many_for_memory_are_looked_at_in_parts() -> None:
    whole = CachedVisionEncoder(SmallMemory(3), Store()).encode(PICTURES)  # type: ignore[arg-type]
    parts = CachedVisionEncoder(SmallMemory(1), Store()).encode(PICTURES)  # type: ignore[arg-type]
    np.testing.assert_array_equal(parts, whole)


def test_one_text_or_picture_too_large_for_memory_is_an_error_that_says_what_to_do() -> None:
    none, store = SmallMemory(0), Store()
    image = CachedImageEncoder(none, store, batch=1)  # type: ignore[arg-type]
    for encode in (
        lambda: CachedTextEncoder(none, store).encode(TEXTS[:1]),  # type: ignore[arg-type]
        lambda: CachedVisionEncoder(none, store).encode(PICTURES[:1]),  # type: ignore[arg-type]
        lambda: image.get("lost", PICTURES[0]),
    ):
        with pytest.raises(InputError, match="does not hold one row"):
            encode()
