"""What a decoder reads of slices: neighbours in order, compressed once, kept in the cache."""

import numpy as np
import torch

from tests.pipeline.tiny_zeus import Parts, prepare
from zeus_app.models.net import ReadOutNet
from zeus_app.models.readout import CHANNELS


def parts_and_net() -> tuple[Parts, ReadOutNet]:
    parts = Parts(decoder="readout", union="features")
    net = parts.zeus.trainable
    assert isinstance(net, ReadOutNet)
    return parts, net


def test_a_slice_comes_between_its_neighbours_and_the_last_slice_repeats() -> None:
    parts, _ = parts_and_net()
    prepared = prepare(parts)
    first, middle, last = (prepared.batch([s])["pixels"][0, 0] for s in range(3))
    assert torch.equal(middle[0], first[1])
    assert torch.equal(middle[2], last[1])
    assert torch.equal(first[0], first[1])
    assert torch.equal(last[2], last[1])
    embeddings = prepared.batch([0, 1])["embeddings"]
    assert embeddings.shape == (2, 2, 3 * CHANNELS, 64, 64)
    assert torch.equal(embeddings[0, 0, CHANNELS:-CHANNELS], embeddings[1, 0, :CHANNELS])


def test_the_compression_of_an_embedding_is_what_the_net_makes_of_it() -> None:
    parts, net = parts_and_net()
    prepared = prepare(parts)
    parts.zeus.calibrate([prepared])
    expected = net.compression.compress(prepared.inputs.embedding(0, 1))
    embeddings = prepared.batch([1])["embeddings"][0, 0, CHANNELS:-CHANNELS]
    np.testing.assert_array_equal(embeddings.numpy(), expected)


def test_a_sequence_without_tissue_gives_zeros() -> None:
    parts, _ = parts_and_net()
    assert not prepare(parts).batch([0])["embeddings"][0, 1].any()


def test_compressed_embeddings_are_read_from_the_cache_without_the_whole_ones() -> None:
    parts, _ = parts_and_net()
    first, second = prepare(parts), prepare(parts)
    before = first.batch([0, 1, 2])["embeddings"]
    for key in [key for key in parts.cache.arrays if key.startswith("image-")]:
        del parts.cache.arrays[key]
    seen = parts.images.seen
    assert torch.equal(second.batch([0, 1, 2])["embeddings"], before)
    assert parts.images.seen == seen


def test_another_compression_compresses_again() -> None:
    parts, net = parts_and_net()
    prepared = prepare(parts)
    before = prepared.batch([1])["embeddings"]
    net.compression.basis.mul_(2)
    torch.testing.assert_close(prepared.batch([1])["embeddings"], 2 * before)
