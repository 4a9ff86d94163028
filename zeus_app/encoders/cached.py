"""Frozen encoders behind a store: nothing is encoded twice."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import cast

import numpy as np

from zeus_app.devices import halving
from zeus_app.errors import InputError
from zeus_app.progress import Report
from zeus_app.protocols import ImageEncoder, TextEncoder, VisionEncoder
from zeus_app.storage.cache import Cache
from zeus_app.types import EMBEDDING_CHANNELS, FloatArray


class CachedImageEncoder:
    """An image encoder whose embeddings are kept by the content of the picture.

    Args:
        encoder: the tower.
        store: keeps embeddings between runs.
        batch: pictures a call of the tower.
    """

    def __init__(self, encoder: ImageEncoder, store: Cache, *, batch: int) -> None:
        self.encoder = encoder
        self._store = store
        self._batch = batch
        self._held: ExitStack | None = None

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Meanwhile what `keep` is asked to hold is not evicted, however full the store gets."""
        with ExitStack() as self._held:
            try:
                yield
            finally:
                self._held = None

    def key(self, picture: FloatArray) -> str:
        """The picture's name in the store: its very pixels and the tower say it all."""
        return f"image-{self.encoder.id}-{_digest(picture)}"

    def keep(
        self, pictures: Sequence[FloatArray], *, report: Report, hold: bool = False
    ) -> list[str]:
        """Make sure each (256, 256) picture's embedding is in the store; return the keys.

        Args:
            pictures: only those that the store misses are encoded.
            report: told before each batch.
            hold: within `holding`, keep them in the store until it ends.
        """
        keys = [self.key(picture) for picture in pictures]
        if hold and self._held is not None:
            # First, lest encoding what is missing evicts what is there.
            self._held.enter_context(self._store.hold(keys))
        missing = [i for i, key in enumerate(keys) if key not in self._store]
        for start in range(0, len(missing), self._batch):
            report("encoding", start, len(missing))
            rows = missing[start : start + self._batch]
            embeddings = halving(
                lambda some: list(self.encoder.encode(np.stack([pictures[i] for i in some]))), rows
            )
            for i, embedding in zip(rows, embeddings, strict=True):
                self._store.put(keys[i], embedding)
        return keys

    def get(self, key: str, picture: FloatArray | None) -> FloatArray:
        """The (256, 64, 64) embedding; encoded again from `picture` if the store lost it.

        Raises:
            InputError: lost, and there is no picture to encode again.
        """
        kept = self._store.get(key)
        if kept is not None:
            return kept
        if picture is None:
            raise InputError(
                "an image embedding was lost from the cache during training",
                expected="a cache that holds the whole training set",
                remedy="raise the setting cache_gib or free disk space, and train again",
            )
        (embedding,) = halving(lambda one: list(self.encoder.encode(np.stack(one))), [picture])
        self._store.put(key, embedding)
        return cast(FloatArray, embedding)


class PooledVision:
    """F_v where a profile has no tower of its own for it: the mean of F_enc's embedding."""

    dim = EMBEDDING_CHANNELS

    def __init__(self, images: CachedImageEncoder) -> None:
        self.id = f"pooled {images.encoder.id}"
        self._images = images

    def encode(self, pictures: Sequence[FloatArray]) -> FloatArray:
        """N pictures of (256, 256) -> (N, 1, 256) float32."""
        embeddings = [self._images.get(self._images.key(one), one) for one in pictures]
        return np.stack([one.mean(axis=(1, 2), dtype=np.float32)[None] for one in embeddings])


class CachedVisionEncoder:
    """A vision-language tower whose features are kept by the content of the picture."""

    def __init__(self, encoder: VisionEncoder, store: Cache) -> None:
        self.id = encoder.id
        self._encoder = encoder
        self._store = store

    def encode(self, pictures: Sequence[FloatArray]) -> FloatArray:
        """N pictures of (256, 256) -> (N, T, dim) float32; equal ones are encoded once."""
        keys = [f"vision-{self.id}-{_digest(one)}" for one in pictures]
        known = {key: self._store.get(key) for key in keys}
        missing = {key: one for key, one in zip(keys, pictures, strict=True) if known[key] is None}
        if missing:
            features = halving(
                lambda some: list(self._encoder.encode(np.stack(some))), list(missing.values())
            )
            for key, feature in zip(missing, features, strict=True):
                known[key] = feature
                self._store.put(key, feature)
        return np.stack([cast(FloatArray, known[key]) for key in keys])


class CachedTextEncoder:
    """A text encoder whose vectors are kept by the text."""

    def __init__(self, encoder: TextEncoder, store: Cache) -> None:
        self.encoder = encoder
        self._store = store

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """N texts -> (N, dim) float32; equal texts are encoded once."""
        keys = [self._key(text) for text in texts]
        known = {key: self._store.get(key) for key in keys}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if known[key] is None}
        if missing:
            texts = list(missing.values())
            vectors = halving(lambda some: list(self.encoder.encode(some)), texts)
            for key, vector in zip(missing, vectors, strict=True):
                known[key] = vector
                self._store.put(key, vector)
        return np.stack([cast(FloatArray, known[key]) for key in keys])

    def _key(self, text: str) -> str:
        digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        return f"prompt-{self.encoder.id}-{digest}"


def _digest(picture: FloatArray) -> str:
    pixels = np.ascontiguousarray(picture).tobytes()
    return hashlib.blake2b(pixels, digest_size=16).hexdigest()
