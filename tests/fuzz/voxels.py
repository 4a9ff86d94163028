"""Voxels and other content of files: whole, odd, cut, packed, damaged."""

import gzip
import struct

import numpy as np
from hypothesis import strategies as st

from tests.server.conftest import LESION, SHAPE, head

BOMB_BYTES = 64 * 2**20
"""Of zeros, before they are packed."""
SHAPES = [*[SHAPE] * 8, (24, 20), (24,), (24, 20, 1), (1, 1, 1), (24, 20, 6, 1), (2, 300, 2),
          (24, 20, 6, 3), (24, 20, 6, 1, 3), (6, 24, 20), (1, 1, 1, 1, 1, 1, 2)]  # fmt: skip


def label_voxels(value: int = 1) -> bytes:
    """A label of a study, Fortran order, uint8."""
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[LESION] = value
    return voxels.tobytes(order="F")


def image_voxels(seed: int = 5) -> bytes:
    """An image of a study, Fortran order, float32."""
    return head(seed).astype("<f4").tobytes(order="F")


@st.composite
def odd_voxels(draw: st.DrawFn, count: int) -> bytes:
    """So many bytes: zeros, ones, noise, or the label of a study as far as it goes."""
    noise = np.random.default_rng(draw(st.integers(0, 5))).bytes(count)
    label = label_voxels()[:count].ljust(count, b"\0")
    return draw(
        st.sampled_from([bytes(count), b"\1" * count, b"\xff" * count, noise, noise, label, label])
    )


def odd_floats() -> bytes:
    """Voxels among which are NaN and infinities."""
    voxels = head(5).ravel(order="F").astype("<f4")
    voxels[100:110] = np.nan
    voxels[200:205] = np.inf
    return voxels.tobytes()


@st.composite
def resized(draw: st.DrawFn, content: bytes) -> bytes:
    """Content as it is, cut, emptied or continued."""
    return draw(
        st.sampled_from([content, content, content[:-1], content[: len(content) // 2], b"",
                         content + b"\0" * 1000])
    )  # fmt: skip


@st.composite
def packed(draw: st.DrawFn, content: bytes) -> bytes:
    """Content in gzip, once or twice, or plain; whole or damaged."""
    way = draw(st.sampled_from(["plain", "gzip", "gzip", "twice", "cut", "damaged", "lies",
                                "bomb", "two"]))  # fmt: skip
    whole = gzip.compress(content, mtime=0)
    match way:
        case "plain":
            return content
        case "twice":
            return gzip.compress(whole, mtime=0)
        case "cut":
            return whole[: len(whole) * 2 // 3]
        case "damaged":
            return whole[:30] + bytes([whole[30] ^ 0xFF]) + whole[31:] if len(whole) > 31 else b""
        case "lies":  # about the unpacked length
            return whole[:-4] + struct.pack("<I", 2**32 - 1)
        case "bomb":
            return gzip.compress(content[:352] + bytes(BOMB_BYTES), mtime=0)
        case "two":
            return whole + whole
    return whole
