"""Headers of MetaImage and NRRD files, read before ITK opens them.

Both formats may name another file as the place of their voxels. ITK opens whatever they name, by an
absolute path as well. So Zeus reads the header first, and takes a file whose voxels follow the
header, or lie beside it in a file of the studies folder.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

from zeus_app.errors import InputError
from zeus_app.volumes.formats import packer_of, wrong_name

MAX_HEADER_BYTES = 64 * 1024
ITK_READERS = {".mha": "MetaImageIO", ".mhd": "MetaImageIO", ".nrrd": "NrrdImageIO",
               ".nhdr": "NrrdImageIO"}  # fmt: skip
"""Ending -> the reader that ITK must use. By itself, ITK also goes by a file's content."""

_SMALLEST_RATIO = {"raw": 1, "gzip": 1 / 1040, "gz": 1 / 1040}
"""Encoding -> bytes of the file for each byte of voxels. Deflate reaches 1/1032 at best."""
_NRRD_BYTES = {
    1: "char uchar int8 uint8 int8_t uint8_t", 2: "short ushort int16 uint16 int16_t uint16_t",
    4: "int uint int32 uint32 int32_t uint32_t float",
    8: "longlong ulonglong int64 uint64 int64_t uint64_t double",
}  # fmt: skip
_META_BYTES = {
    1: "MET_CHAR MET_UCHAR MET_ASCII_CHAR", 2: "MET_SHORT MET_USHORT",
    4: "MET_INT MET_UINT MET_LONG MET_ULONG MET_FLOAT",
    8: "MET_LONG_LONG MET_ULONG_LONG MET_DOUBLE",
}  # fmt: skip
_NRRD_SYNONYMS = {
    "signed char": "char", "unsigned char": "uchar", "short int": "short", "signed short": "short",
    "signed short int": "short", "unsigned short": "ushort", "unsigned short int": "ushort",
    "signed int": "int", "unsigned int": "uint", "long long": "longlong",
    "long long int": "longlong", "signed long long": "longlong",
    "signed long long int": "longlong", "unsigned long long": "ulonglong",
    "unsigned long long int": "ulonglong",
}  # fmt: skip
_LONGEST_NRRD_LINE, _LONGEST_META_VALUE = 400, 200
"""In bytes. ITK copies longer ones into buffers of 1024 and 255 bytes without looking."""
_KEY = re.compile(r"[!-9;<>-~]+")
"""Printable ASCII without ":" and "=". ITK writes keys such as "0008|0060" and "dim[0]" itself."""
_OTHER_LENGTHS = frozenset({
    "nm", "um", "µm", "μm", "micron", "microns", "micrometer", "micrometers", "micrometre",
    "micrometres", "cm", "centimeter", "centimeters", "centimetre", "centimetres", "m", "meter",
    "meters", "metre", "metres", "in", "inch", "inches",
})  # fmt: skip
"""Units of length in headers that are not the millimetre."""
_PLAIN_NAME = re.compile(r"[^/\\%\0]+")


@dataclass(frozen=True)
class VolumeHeader:
    """What the header of a MetaImage or NRRD file says about its voxels.

    Attributes:
        shape: numbers of all axes.
        needed_bytes: of the voxels, unpacked.
        encoding: "raw", "gzip" or "gz".
        data_file: the other file that holds the voxels; empty if they follow the header.
        length: bytes of the header.
    """

    shape: tuple[int, ...]
    needed_bytes: int
    encoding: str
    data_file: str
    length: int


def check_itk_file(path: Path) -> VolumeHeader:
    """Read the header of a file that ITK is about to open.

    Returns:
        The header. Its voxels lie in the file itself, or in one file beside it.

    Raises:
        InputError: the header is damaged, names another place, or promises more voxels than there
            are bytes.
    """
    header = read_header(path)
    data = path
    if header.data_file:
        data = path.parent / header.data_file
        is_beside = _PLAIN_NAME.fullmatch(header.data_file) and header.data_file not in (".", "..")
        if not is_beside or not data.is_file():
            raise InputError(
                f"{path.name}, whose voxels lie in {header.data_file[:80]!r}",
                expected="voxels in the file itself, or in one file beside it",
                remedy="save the image again as one file, for example as .nii.gz",
            )
    held = data.stat().st_size - (0 if header.data_file else header.length)
    ratio = _SMALLEST_RATIO[header.encoding]
    if held < header.needed_bytes * ratio:
        raise InputError(
            f"{path.name} cannot be read: {held} bytes of voxels, {header.encoding}, instead of"
            f" the {header.needed_bytes} that its header states",
            expected="a complete file",
            remedy="copy the file again from its origin",
        )
    return header


def read_header(path: Path) -> VolumeHeader:
    """The header of a .mha, .mhd, .nrrd or .nhdr file.

    Raises:
        InputError: the file is none of these, or its header is damaged.
    """
    with path.open("rb") as file:
        if packer := packer_of(file):
            raise wrong_name(path, packer)
        file.seek(0)
        start = file.read(MAX_HEADER_BYTES)
    try:
        is_nrrd = path.name.lower().endswith((".nrrd", ".nhdr"))
        return _nrrd(start) if is_nrrd else _meta_image(start)
    except (ValueError, KeyError, OverflowError) as error:
        raise InputError(
            f"{path.name} cannot be read: its header is damaged ({str(error)[:80]})",
            expected="a complete MetaImage or NRRD file",
            remedy="save the image again, for example as .nii.gz",
        ) from error


def _nrrd(start: bytes) -> VolumeHeader:
    (magic, _), *lines = _lines(start, end=lambda line: not line)
    if not re.fullmatch(r"NRRD000[1-5]", magic):
        raise ValueError("no NRRD file")
    fields: dict[str, str] = {}
    for line, _ in lines[:-1]:
        key, colon, value = line.partition(":")
        if not colon or line.startswith("#") or value.startswith("="):
            continue  # a name of a LIST of files, a comment, or a key of the user
        name = _add(fields, key.replace(" ", ""), value)
        if len(line.encode()) > _LONGEST_NRRD_LINE and name != "content":
            raise ValueError(f"a long {name[:40]!r}")
    if fields.get("lineskip", "0") != "0" or fields.get("byteskip", "0") not in ("0", "-1"):
        raise ValueError("voxels that do not follow the header")
    units = re.findall(r'"([^"]*)"', f"{fields.get('spaceunits', '')} {fields.get('units', '')}")
    if other := _OTHER_LENGTHS.intersection(unit.strip().lower() for unit in units):
        raise ValueError(f"lengths in {min(other)}, which ITK would take for mm")
    shape = _shape(fields["sizes"], axes=fields["dimension"])
    kind = fields["type"].lower()
    needed = _checked_product(shape) * _bytes_of(_NRRD_SYNONYMS.get(kind, kind), _NRRD_BYTES)
    encoding = fields["encoding"].lower()
    if encoding not in _SMALLEST_RATIO:  # ITK's reader of text fails on other bytes
        raise ValueError(f"encoding {encoding[:40]!r} instead of raw or gzip")
    return VolumeHeader(shape, needed, encoding, fields.get("datafile", ""), lines[-1][1])


def _meta_image(start: bytes) -> VolumeHeader:
    fields: dict[str, str] = {}
    lines = _lines(start, end=lambda line: line.lower().startswith("elementdatafile"))
    for line, _ in lines:
        key, equals, value = line.partition("=")
        if not equals:
            raise ValueError("a line without '='")
        name = _add(fields, key, value)
        if len(value.encode()) > _LONGEST_META_VALUE:
            raise ValueError(f"a long {name[:40]!r}")
    if fields.get("headersize", "0") not in ("0", "-1"):
        raise ValueError("voxels that do not follow the header")
    if (unit := fields.get("distanceunits", "").lower()) in _OTHER_LENGTHS:
        raise ValueError(f"lengths in {unit}, which ITK would take for mm")
    shape = _shape(fields["dimsize"], axes=fields["ndims"])
    channels = int(fields.get("elementnumberofchannels", "1"))
    needed = _checked_product((*shape, channels)) * _bytes_of(fields["elementtype"], _META_BYTES)
    is_packed = fields.get("compresseddata", "false").lower() in ("true", "1")
    file = fields["elementdatafile"]
    data_file = "" if file in ("LOCAL", "Local", "local") else file
    return VolumeHeader(shape, needed, "gzip" if is_packed else "raw", data_file, lines[-1][1])


def _shape(sizes: str, *, axes: str) -> tuple[int, ...]:
    """Numbers of all axes. ITK believes the stated number of axes, and reads as many sizes."""
    shape = tuple(int(size) for size in sizes.split())
    if axes != str(len(shape)):
        raise ValueError(f"{len(shape)} sizes for {axes[:40]} axes")
    return shape


def _add(fields: dict[str, str], key: str, value: str) -> str:
    """Add a field, and return its name in lower case.

    Readers differ in what else they take for a key, so other keys are refused.
    """
    name = key.strip().lower()
    if name in fields or not _KEY.fullmatch(name):
        raise ValueError(f"field {name[:40]!r}")
    fields[name] = value.strip()
    return name


def _lines(start: bytes, *, end: Callable[[str], bool]) -> list[tuple[str, int]]:
    """The lines of a header, and the bytes up to the end of each.

    Args:
        start: of the file.
        end: whether a line is the header's last.

    Raises:
        ValueError: the header has no end, or a line is no plain text.
    """
    lines: list[tuple[str, int]] = []
    position = 0
    while not lines or not end(lines[-1][0]):
        stop = start.find(b"\n", position)
        line = start[position:stop].removesuffix(b"\r")
        if stop < 0 or any(byte < 32 and byte != 9 for byte in line):
            raise ValueError("no end, or control characters")
        position = stop + 1
        lines.append((line.decode("utf-8"), position))
    return lines


def _checked_product(sizes: tuple[int, ...]) -> int:
    if not 1 <= len(sizes) <= 10 or min(sizes) < 1:
        raise ValueError(f"sizes {sizes}")
    return prod(sizes)


def _bytes_of(name: str, table: dict[int, str]) -> int:
    for size, names in table.items():
        if name in names.split():
            return size
    raise ValueError(f"type {name[:40]!r}")
