"""NIfTI files as bytes: whole ones, ones whose headers lie, and rare ones."""

import gzip
import math
import struct
from collections.abc import Sequence

from hypothesis import strategies as st

from tests.fuzz.voxels import (
    SHAPES,
    image_voxels,
    label_voxels,
    odd_floats,
    odd_voxels,
    packed,
    resized,
)
from tests.server.conftest import SHAPE, affine
from zeus_app.types import Affine

# Fields of a NIfTI-1 header: place in bytes, format of `struct`, count.
INTEGERS = {"sizeof_hdr": (0, "i", 1), "dim": (40, "h", 8), "intent": (68, "h", 1),
            "datatype": (70, "h", 1), "bitpix": (72, "h", 1), "qform": (252, "h", 1),
            "sform": (254, "h", 1)}  # fmt: skip
FLOATS = {"pixdim": (76, "f", 8), "vox_offset": (108, "f", 1), "slope": (112, "f", 2),
          "quatern": (256, "f", 6), "srow": (280, "f", 12)}  # fmt: skip
ODD_SIZES = st.sampled_from([-32768, -1, 0, 1, 2, 3, 4, 6, 7, 8, 20, 24, 348, 512, 32767])
ODD_FLOATS = st.sampled_from(
    [0.0, -1.0, 1.0, 1e-38, 1e38, float("nan"), float("inf"), 352.0, 1e-4, 2e9]
)

NIFTI_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 32: 64, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32,
              1024: 64, 1280: 64, 1536: 128, 1792: 128, 2048: 256, 2304: 32}  # fmt: skip
"""Codes of NIfTI-1 data types -> bits of a voxel. Complex numbers and colours are among them."""
AFFINES = [
    (0.0,) * 12,
    (1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0),  # singular
    (1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0),  # sheared
    (1e-20, 0, 0, 0, 0, 1e-20, 0, 0, 0, 0, 1e-20, 0),
    (1e30, 0, 0, 0, 0, 1e30, 0, 0, 0, 0, 1e30, 0),
    (1, 0, 0, 1e30, 0, 1, 0, 0, 0, 0, 3, 0),
    (1, 0, 0, math.nan, 0, 1, 0, 0, 0, 0, 3, 0),
    (-1, 0, 0, 10, 0, 0, 3, 0, 0, 1, 0, 0),  # permuted
]


def nifti_header(shape: Sequence[int] = SHAPE, *, code: int = 2, bits: int = 8) -> bytearray:
    """A NIfTI-1 header of 352 bytes with the studies' affine."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into("<2h", header, 70, code, bits)
    struct.pack_into("<8f", header, 76, 1, 1, 1, 3, 1, 1, 1, 1)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    struct.pack_into("<2h", header, 252, 1, 1)
    matrix: Affine = affine()
    struct.pack_into("<12f", header, 280, *matrix[:3].ravel())
    header[123] = 2  # mm
    header[344:348] = b"n+1\0"
    return header


def nifti(*, is_label: bool) -> bytes:
    """A whole .nii.gz file on the grid of a study."""
    if is_label:
        return gzip.compress(bytes(nifti_header()) + label_voxels(), mtime=0)
    return gzip.compress(bytes(nifti_header(code=16, bits=32)) + image_voxels(), mtime=0)


@st.composite
def odd_niftis(draw: st.DrawFn) -> bytes:
    """A .nii.gz or .nii file of which some fields, or the length, are changed."""
    is_label = draw(st.booleans())
    header = nifti_header() if is_label else nifti_header(code=16, bits=32)
    for name in draw(st.lists(st.sampled_from([*INTEGERS, *FLOATS]), max_size=2, unique=True)):
        place, kind, count = {**INTEGERS, **FLOATS}[name]
        size = struct.calcsize(kind)
        value = draw(ODD_FLOATS if kind == "f" else ODD_SIZES)
        index = draw(st.integers(0, count - 1))
        struct.pack_into(f"<{kind}", header, place + index * size, value)
    if draw(st.integers(0, 9)) == 0:
        header[344:348] = draw(st.sampled_from([b"ni1\0", b"n+2\0", b"\0" * 4, b"n+1\n"]))
    voxels = label_voxels() if is_label else draw(st.sampled_from([image_voxels(), odd_floats()]))
    return draw(packed(bytes(header) + draw(resized(voxels))))


@st.composite
def rare_niftis(draw: st.DrawFn) -> bytes:
    """A .nii.gz or .nii file that says the truth, of a rare shape, type or affine."""
    shape = draw(st.sampled_from(SHAPES))
    code = draw(st.sampled_from([2, 4, 16, *NIFTI_BITS]))
    header = nifti_header(shape, code=code, bits=NIFTI_BITS[code])
    if draw(st.integers(0, 2)) == 0:
        struct.pack_into("<12f", header, 280, *draw(st.sampled_from(AFFINES)))
    count = math.prod(shape) * NIFTI_BITS[code] // 8
    content = bytes(header) + draw(odd_voxels(count))
    return draw(st.sampled_from([gzip.compress(content, mtime=0), content]))
