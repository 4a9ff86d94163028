"""Values to put into a cache, and the processes that do it."""

import multiprocessing

import numpy as np
import numpy.typing as npt

from zeus_app.storage.cache import Cache

SPAWN = multiprocessing.get_context("spawn")  # a process of its own, like a training
Array = npt.NDArray[np.generic]


def embedding(seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(256, 64, 64)).astype(np.float16)  # 2 MiB


def assert_holds(cache: Cache, key: str, expected: Array) -> None:
    array = cache.get(key)
    assert array is not None
    np.testing.assert_array_equal(array, expected)


def numbered(number: int) -> Array:
    """128 KiB, all of them the number of their key."""
    return np.full((256, 256), number, np.float16)
