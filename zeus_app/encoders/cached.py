"""Frozen encoders behind the cache: no picture and no text is encoded twice."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import cast

import numpy as np

from zeus_app.devices import split_when_out_of_memory
from zeus_app.errors import InputError
from zeus_app.progress import Report
from zeus_app.protocols import ImageEncoder, TextEncoder, VisionEncoder
from zeus_app.storage.cache import Cache
from zeus_app.types import EMBEDDING_CHANNELS, FloatArray


class CachedImageEncoder:
    """An image encoder whose embeddings are cached by the content of the picture.

    Args:
        encoder: the image encoder.
        cache: keeps embeddings between runs.
        batch: pictures per call of the encoder.
    """

    def __init__(self, encoder: ImageEncoder, cache: Cache, *, batch: int) -> None:
        self.encoder = encoder
        self._cache = cache
        self._batch = batch
        self._pins: ExitStack | None = None

    @contextmanager
    def pin_embeddings(self) -> Iterator[None]:
        """Until this context ends, the cache evicts no embedding that was encoded with `pin`."""
        with ExitStack() as self._pins:
            try:
                yield
            finally:
                self._pins = None

    def key(self, picture: FloatArray) -> str:
        """The cache key of a picture: the encoder's id and a hash of the pixels."""
        return f"image-{self.encoder.id}-{_digest(picture)}"

    def encode_missing(
        self, pictures: Sequence[FloatArray], *, report: Report, pin: bool = False
    ) -> list[str]:
        """Encode the pictures that the cache lacks.

        Args:
            pictures: each (256, 256) float32 in [0, 1].
            report: called before each batch.
            pin: within `pin_embeddings`, pin the embeddings of all pictures.

        Returns:
            The cache key of each picture.
        """
        keys = [self.key(picture) for picture in pictures]
        if pin and self._pins is not None:
            # Pinned before encoding, because a full cache evicts when a new embedding comes in.
            self._pins.enter_context(self._cache.pin(keys))
        missing = [i for i, key in enumerate(keys) if key not in self._cache]
        for start in range(0, len(missing), self._batch):
            report("encoding", start, len(missing))
            rows = missing[start : start + self._batch]
            embeddings = split_when_out_of_memory(
                lambda part: list(self.encoder.encode(np.stack([pictures[i] for i in part]))), rows
            )
            for i, embedding in zip(rows, embeddings, strict=True):
                self._cache.put(keys[i], embedding)
        return keys

    def get(self, key: str, picture: FloatArray | None) -> FloatArray:
        """The embedding of a picture, (256, 64, 64) float16.

        Args:
            key: from `key` or `encode_missing`.
            picture: (256, 256), encoded again if the cache has lost the embedding.

        Raises:
            InputError: the cache has lost the embedding, and `picture` is None.
        """
        embedding = self._cache.get(key)
        if embedding is not None:
            return embedding
        if picture is None:
            raise InputError(
                "an image embedding was lost from the cache during training",
                expected="a cache that holds the whole training set",
                remedy="free disk space or raise the setting cache_gib, for example"
                " --set cache_gib=50, and train again",
            )
        (embedding,) = split_when_out_of_memory(
            lambda part: list(self.encoder.encode(np.stack(part))), [picture]
        )
        self._cache.put(key, embedding)
        return cast(FloatArray, embedding)


class PooledVision:
    """F_v of a profile without a vision tower: the mean of F_enc's embedding over the picture."""

    dim = EMBEDDING_CHANNELS

    def __init__(self, images: CachedImageEncoder) -> None:
        self.id = f"pooled {images.encoder.id}"
        self._images = images

    def encode(self, pictures: Sequence[FloatArray]) -> FloatArray:
        """N pictures of (256, 256) -> (N, 1, 256) float32."""
        embeddings = [self._images.get(self._images.key(picture), picture) for picture in pictures]
        means = [embedding.mean(axis=(1, 2), dtype=np.float32) for embedding in embeddings]
        features: FloatArray = np.stack(means)[:, None]
        return features


class CachedVisionEncoder:
    """A vision tower whose features are cached by the content of the picture."""

    def __init__(self, encoder: VisionEncoder, cache: Cache) -> None:
        self.id = encoder.id
        self._encoder = encoder
        self._cache = cache

    def encode(self, pictures: Sequence[FloatArray]) -> FloatArray:
        """N pictures of (256, 256) -> (N, T, dim) float32. Equal pictures are encoded once."""
        keys = [f"vision-{self.id}-{_digest(picture)}" for picture in pictures]
        features = {key: self._cache.get(key) for key in keys}
        missing = {
            key: picture
            for key, picture in zip(keys, pictures, strict=True)
            if features[key] is None
        }
        if missing:
            encoded = split_when_out_of_memory(
                lambda part: list(self._encoder.encode(np.stack(part))), list(missing.values())
            )
            for key, feature in zip(missing, encoded, strict=True):
                features[key] = feature
                self._cache.put(key, feature)
        return np.stack([cast(FloatArray, features[key]) for key in keys])


class CachedTextEncoder:
    """A text encoder whose vectors are cached by the text."""

    def __init__(self, encoder: TextEncoder, cache: Cache) -> None:
        self.encoder = encoder
        self._cache = cache

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """N texts -> (N, dim) float32. Equal texts are encoded once."""
        keys = [self._key(text) for text in texts]
        vectors = {key: self._cache.get(key) for key in keys}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if vectors[key] is None}
        if missing:
            encoded = split_when_out_of_memory(
                lambda part: list(self.encoder.encode(part)), list(missing.values())
            )
            for key, vector in zip(missing, encoded, strict=True):
                vectors[key] = vector
                self._cache.put(key, vector)
        return np.stack([cast(FloatArray, vectors[key]) for key in keys])

    def _key(self, text: str) -> str:
        digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        return f"prompt-{self.encoder.id}-{digest}"


def _digest(picture: FloatArray) -> str:
    pixels = np.ascontiguousarray(picture).tobytes()
    return hashlib.blake2b(pixels, digest_size=16).hexdigest()
