"""Which files are DICOM: told by their first bytes, as DCMTK, GDCM and dcm2niix tell it.

Old scanners and archives write the data set alone, without the preamble and the letters DICM.
"""

START_BYTES = 1024
_PREAMBLE = 128
_FIRST_GROUPS = frozenset({b"\x02\x00", b"\x08\x00"})
"""File meta information, and identification; little endian."""
_LONG_VRS = frozenset({b"OB", b"OW", b"SQ", b"UN", b"UT", b"UC", b"UR", b"OF", b"OD", b"OL", b"OV"})
_SHORT_VRS = frozenset({
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN",
    b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
})  # fmt: skip
_LONGEST = 64 * 1024
"""Bytes of an element at the start of a data set; other files would state any number."""


def starts_like_dicom(start: bytes) -> bool:
    """Whether the first `START_BYTES` bytes of a file are those of a DICOM file."""
    return has_preamble(start) or is_data_set(start)


def has_preamble(start: bytes) -> bool:
    """Whether a file has the letters DICM where the standard wants them."""
    return start[_PREAMBLE : _PREAMBLE + 4] == b"DICM"


def is_data_set(start: bytes) -> bool:
    """Whether bytes start like a DICOM data set: two elements in the order of their tags."""
    first = _element(start, 0)
    if first is None:
        return False
    second = _element(start, first[1])
    return second is not None and second[0] > first[0]


def _element(start: bytes, at: int) -> tuple[int, int] | None:
    """The tag of the element at a position, and where the next one starts; None if there is none.

    The length follows the tag (implicit VR), or two letters of the VR (explicit VR).
    """
    head = start[at : at + 12]
    if len(head) < 12 or head[:2] not in _FIRST_GROUPS:
        return None
    tag = int.from_bytes(head[:2], "little") << 16 | int.from_bytes(head[2:4], "little")
    vr = head[4:6]
    if vr in _LONG_VRS and head[6:8] == b"\0\0":
        value, length = at + 12, int.from_bytes(head[8:], "little")
    elif vr in _SHORT_VRS:
        value, length = at + 8, int.from_bytes(head[6:8], "little")
    else:
        value, length = at + 8, int.from_bytes(head[4:8], "little")
    is_plausible = length % 2 == 0 and length < _LONGEST
    return (tag, value + length) if is_plausible else None
