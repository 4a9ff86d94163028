"""What a decoder reads of a study's slices: whole embeddings, or compressed ones with pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from zeus_app.encoders.cached import CachedImageEncoder
from zeus_app.models.net import ReadOutNet
from zeus_app.models.readout import NEIGHBOURS, Compression
from zeus_app.protocols import Batch
from zeus_app.storage.cache import Cache
from zeus_app.types import EMBEDDING_SHAPE, BoolArray, FloatArray, SliceStack

Keys = tuple[tuple[str, ...], ...]
"""keys[m][s] is the cache key of an embedding; "" where there is no tissue."""


class SliceInputs(Protocol):
    """Gives the tensors of slices that a decoder reads."""

    def batch(self, slices: Sequence[int]) -> Batch:
        """Tensors of B slices; dimension 0 of each is B."""

    def embedding(self, sequence: int, s: int) -> FloatArray:
        """The whole embedding of a slice with tissue, (256, 64, 64) float16."""


@dataclass(frozen=True, eq=False)
class WholeEmbeddings:
    """For SAM's mask decoder.

    Attributes:
        images: reads embeddings from the cache.
        keys: cache keys of the embeddings.
        present: (S, M) bool.
        pixels: (M, S, 256, 256), to encode an evicted embedding again; None in training.
    """

    images: CachedImageEncoder
    keys: Keys
    present: BoolArray
    pixels: FloatArray | None

    def batch(self, slices: Sequence[int]) -> Batch:
        """Give "embeddings", (B, M, 256, 64, 64) float16."""
        return {"embeddings": torch.from_numpy(np.stack([self._slice(s) for s in slices]))}

    def embedding(self, sequence: int, s: int) -> FloatArray:
        """The embedding of a slice with tissue, (256, 64, 64) float16."""
        picture = None if self.pixels is None else self.pixels[sequence, s]
        return self.images.get(self.keys[sequence][s], picture)

    def _slice(self, s: int) -> FloatArray:
        """(M, 256, 64, 64) float16; zeros where a sequence shows no tissue."""
        embeddings = np.zeros((len(self.keys), *EMBEDDING_SHAPE), np.float16)
        for m in np.flatnonzero(self.present[s]):
            embeddings[m] = self.embedding(int(m), s)
        return embeddings


@dataclass(frozen=True, eq=False)
class CompressedEmbeddings:
    """For the read-out. Compressed embeddings stay in memory as long as the study is in use.

    Attributes:
        whole: the embeddings that are compressed.
        compression: of the decoder. Other training studies give another one.
        cache: keeps compressed embeddings between runs.
        pictures: (M, S, 256, 256) float16 in [0, 1].
    """

    whole: WholeEmbeddings
    compression: Compression
    cache: Cache
    pictures: FloatArray
    _memory: dict[tuple[str, int], FloatArray] = field(default_factory=dict)

    def batch(self, slices: Sequence[int]) -> Batch:
        """Give "embeddings" (B, M, 3·C, 64, 64) and "pixels" (B, M, 3, 256, 256), float16."""
        last, used = len(self.whole.present) - 1, self.compression.id
        rows = [[min(max(s + offset, 0), last) for offset in NEIGHBOURS] for s in slices]
        embeddings = [np.concatenate([self._slice(s, used) for s in row], axis=1) for row in rows]
        pixels = np.stack([self.pictures[:, row] for row in rows])
        return {
            "embeddings": torch.from_numpy(np.stack(embeddings)),
            "pixels": torch.from_numpy(pixels),
        }

    def embedding(self, sequence: int, s: int) -> FloatArray:
        """The whole embedding of a slice with tissue, (256, 64, 64) float16."""
        return self.whole.embedding(sequence, s)

    def _slice(self, s: int, compression: str) -> FloatArray:
        """(M, C, 64, 64) float16; zeros where a sequence shows no tissue."""
        if (compression, s) not in self._memory:
            channels = len(self.compression.basis)
            embeddings = np.zeros(
                (len(self.whole.keys), channels, *EMBEDDING_SHAPE[1:]), np.float16
            )
            for m in np.flatnonzero(self.whole.present[s]):
                embeddings[m] = self._compressed(int(m), s, compression)
            self._memory[compression, s] = embeddings
        return self._memory[compression, s]

    def _compressed(self, sequence: int, s: int, compression: str) -> FloatArray:
        """(C, 64, 64) float16, from the cache or from the whole embedding."""
        key = f"compressed-{compression}-{self.whole.keys[sequence][s]}"
        compressed = self.cache.get(key)
        if compressed is None:
            compressed = self.compression.compress(self.embedding(sequence, s))
            self.cache.put(key, compressed)
        return compressed


def whole_embeddings(whole: WholeEmbeddings, stack: SliceStack) -> SliceInputs:
    """What SAM's mask decoder reads of a study."""
    return whole


def compressed_embeddings(
    net: ReadOutNet, cache: Cache, whole: WholeEmbeddings, stack: SliceStack
) -> SliceInputs:
    """What the read-out reads of a study."""
    pictures = stack.pixels.astype(np.float16)
    return CompressedEmbeddings(whole, net.compression, cache, pictures)
