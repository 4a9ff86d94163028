"""The first bytes tell a DICOM data set from other files."""

import struct

import numpy as np
import pytest

from zeus_app.dicom.content import START_BYTES, starts_like_dicom

EXPLICIT = (
    b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100\x08\x00\x08\x00CS\x10\x00ORIGINAL\\PRIMARY"
    b"\x08\x00\x16\x00UI\x1a\x001.2.840."
)
IMPLICIT = b"\x08\x00\x00\x00\x04\x00\x00\x00\xce\x00\x00\x00\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR"
META = (
    b"\x02\x00\x00\x00UL\x04\x00\xce\x00\x00\x00\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01"
)
LONG = b"\x08\x00\x10\x00UN\x00\x00\x02\x00\x00\x00ab\x08\x00\x12\x00DA\x08\x0020200101"


@pytest.mark.parametrize("start", [EXPLICIT, IMPLICIT, META, LONG, bytes(128) + b"DICM\x02\x00"])
def test_a_data_set_or_a_preamble_is_told(start: bytes) -> None:
    assert starts_like_dicom(start + bytes(START_BYTES))


@pytest.mark.parametrize(
    "start",
    [
        b"", b"\x08\x00", EXPLICIT[:18], bytes(START_BYTES), b"\x08\x00" * 512, b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n", b"II*\x00\x08\x00\x00\x00", b"\x08\x00 some text, then more text",
        EXPLICIT[18:42] + EXPLICIT[:18] + b"\x08\x00",  # the second tag is lower
        struct.pack("<HHI", 8, 8, 2**31) + bytes(64),  # a length that no header has
        struct.pack("<HHI", 8, 8, 3) + b"abc" + EXPLICIT,  # an odd length
        struct.pack("<iii", 348, 0, 0) + bytes(340), b"%PDF-1.4", "ß0008,0005".encode(),
    ],
)  # fmt: skip
def test_other_files_are_not_taken_for_dicom(start: bytes) -> None:
    assert not starts_like_dicom(start)


def test_noise_is_not_taken_for_dicom() -> None:
    random = np.random.default_rng(0)
    for _ in range(2000):
        noise = random.integers(0, 256, 256, np.uint8)
        noise[:2] = 8, 0
        assert not starts_like_dicom(noise.tobytes())
