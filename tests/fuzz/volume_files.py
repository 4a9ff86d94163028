"""Volumes as bytes: whole ones, and ones whose headers lie, whose data are cut or elsewhere."""

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from tests.server.conftest import LESION, SHAPE, affine, head
from zeus_app.types import Affine

BOMB_BYTES = 64 * 2**20  # of zeros, before they are packed
ENDINGS = {"nifti": ".nii.gz", "nrrd": ".nrrd", "meta": ".mha", "zip": ".zip"}

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


def label_voxels(value: int = 1) -> bytes:
    """A label of a study, Fortran order, uint8."""
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[LESION] = value
    return voxels.tobytes(order="F")


def image_voxels(seed: int = 5) -> bytes:
    """An image of a study, Fortran order, float32."""
    return head(seed).astype("<f4").tobytes(order="F")


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
    for name in draw(st.lists(st.sampled_from([*INTEGERS, *FLOATS]), max_size=3, unique=True)):
        place, kind, count = {**INTEGERS, **FLOATS}[name]
        size = struct.calcsize(kind)
        value = draw(ODD_FLOATS if kind == "f" else ODD_SIZES)
        index = draw(st.integers(0, count - 1))
        struct.pack_into(f"<{kind}", header, place + index * size, value)
    if draw(st.integers(0, 9)) == 0:
        header[344:348] = draw(st.sampled_from([b"ni1\0", b"n+2\0", b"\0" * 4, b"n+1\n"]))
    voxels = label_voxels() if is_label else draw(st.sampled_from([image_voxels(), odd_floats()]))
    return draw(packed(bytes(header) + draw(resized(voxels))))


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


NRRD_LINES = {
    "type": ["uint8", "uint8", "float", "double", "block", "int64", "uchar", "", "x" * 5000],
    "dimension": ["3", "3", "2", "4", "0", "-1", "16", "17", "99999999999"],
    "space": ["left-posterior-superior", "RAS", "3D-left-handed", ""],
    "sizes": ["24 20 6", "24 20 6", "24 20", "0 0 0", "-1 20 6", "65536 65536 65536",
              "24 20 6 3", "999999999999999999999 1 1", "a b c"],
    "space directions": ["(1,0,0) (0,1,0) (0,0,3)", "(0,0,0) (0,0,0) (0,0,0)", "none none none",
                         "(nan,0,0) (0,1,0) (0,0,1)", "(1e999,0,0) (0,1,0) (0,0,1)", "(1,0)"],
    "space origin": ["(10,12,5)", "(nan,nan,nan)", "(1e308,0,0)", ""],
    "kinds": ["domain domain domain", "vector domain domain", "domain"],
    "endian": ["little", "big", "middle"],
    "encoding": ["raw", "raw", "gzip", "bzip2", "hex", "text", "ascii", "zip"],
    "data file": ["/etc/passwd", "LIST", "x%03d.raw 1 9 1", "../../x", "", "/dev/zero"],
    "byte skip": ["-1", "0", "99999999999", "-5"],
    "line skip": ["0", "5", "-1"],
    "content": ["x" * 70_000, "\x00", "\u00e9"],
}  # fmt: skip
NRRD_NEEDED = ("type", "dimension", "space", "sizes", "space directions", "space origin",
               "endian", "encoding")  # fmt: skip
META_LINES = {
    "ObjectType": ["Image", "Tube", ""],
    "NDims": ["3", "3", "2", "4", "0", "-1", "99999"],
    "BinaryData": ["True", "False"],
    "BinaryDataByteOrderMSB": ["False", "True"],
    "CompressedData": ["False", "True", "maybe"],
    "CompressedDataSize": ["1", "-1", "99999999999"],
    "TransformMatrix": ["1 0 0 0 1 0 0 0 1", "0 0 0 0 0 0 0 0 0", "nan 0 0 0 1 0 0 0 1", "1"],
    "Offset": ["10 12 5", "nan nan nan", "1e999 0 0", "0"],
    "ElementSpacing": ["1 1 3", "0 0 0", "-1 -1 -1", "nan 1 1", "1e-300 1 1", "1"],
    "DimSize": ["24 20 6", "24 20 6", "24 20", "0 0 0", "-1 20 6", "65536 65536 65536",
                "999999999999999999999 1 1", "a b c"],
    "HeaderSize": ["0", "-1", "5", "99999999999"],
    "ElementNumberOfChannels": ["1", "3", "0", "-1", "9999999"],
    "ElementType": ["MET_UCHAR", "MET_FLOAT", "MET_LONG", "MET_STRING", "MET_OTHER", ""],
    "Comment": ["x" * 70_000, "\x00"],
}  # fmt: skip
META_NEEDED = ("ObjectType", "NDims", "BinaryData", "BinaryDataByteOrderMSB", "CompressedData",
               "TransformMatrix", "Offset", "ElementSpacing", "DimSize", "ElementType")  # fmt: skip
META_FILES = ["LOCAL", "LOCAL", "LOCAL", "local", "LIST", "LIST 3", "/etc/passwd", "x.raw",
              "../../x", "", "x%d.raw 1 9 1"]  # fmt: skip


@st.composite
def header_fields(
    draw: st.DrawFn, lines: dict[str, list[str]], needed: tuple[str, ...]
) -> list[tuple[str, str]]:
    """The needed fields with their first values, of which up to three are changed."""
    fields = {name: lines[name][0] for name in needed}
    for name in draw(st.lists(st.sampled_from(sorted(lines)), max_size=3, unique=True)):
        fields[name] = draw(st.sampled_from(lines[name]))
    pairs = list(fields.items())
    if draw(st.integers(0, 9)) == 0:
        pairs.append(draw(st.sampled_from(pairs)))  # twice
    if draw(st.integers(0, 9)) == 0:
        pairs.remove(draw(st.sampled_from(pairs)))
    return pairs


@st.composite
def odd_nrrds(draw: st.DrawFn) -> bytes:
    fields = draw(header_fields(NRRD_LINES, NRRD_NEEDED))
    magic = draw(st.sampled_from(["NRRD0004", "NRRD0004", "NRRD0005", "NRRD0009", "NRRD"]))
    end = draw(st.sampled_from(["\n", "\n", "\r\n", ""]))
    header = "".join(f"{line}\n" for line in (magic, *(f"{k}: {v}" for k, v in fields))) + end
    is_packed = ("encoding", "gzip") in fields
    voxels = draw(resized(label_voxels()))
    return header.encode() + (draw(packed(voxels)) if is_packed else voxels)


@st.composite
def odd_meta_images(draw: st.DrawFn) -> bytes:
    fields = draw(header_fields(META_LINES, META_NEEDED))
    fields.append(("ElementDataFile", draw(st.sampled_from(META_FILES))))
    return "".join(f"{k} = {v}\n" for k, v in fields).encode() + draw(resized(label_voxels()))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A whole volume of which some bytes are changed, removed or added."""
    whole = bytearray(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, min(len(whole) - 1, 400)) | st.integers(0, len(whole) - 1))
        match draw(st.sampled_from(["change", "change", "remove", "add"])):
            case "change":
                whole[place] = draw(st.integers(0, 255))
            case "remove":
                del whole[place : place + draw(st.integers(1, 8))]
            case "add":
                whole[place:place] = draw(st.binary(min_size=1, max_size=8))
    return bytes(whole)


def nrrd() -> bytes:
    """A whole .nrrd file of a label."""
    lines = ["NRRD0004", *(f"{name}: {NRRD_LINES[name][0]}" for name in NRRD_NEEDED), "", ""]
    return "\n".join(lines).encode() + label_voxels()


def meta_image() -> bytes:
    """A whole .mha file of a label."""
    lines = [f"{name} = {META_LINES[name][0]}" for name in META_NEEDED]
    return "\n".join([*lines, "ElementDataFile = LOCAL", ""]).encode() + label_voxels()


WHOLE = [
    nifti(is_label=True), nifti(is_label=False), bytes(nifti_header()) + label_voxels(), nrrd(),
    meta_image(),
]  # fmt: skip


@st.composite
def zips(draw: st.DrawFn, names: st.SearchStrategy[str]) -> bytes:
    """A ZIP of volumes and case lists, with odd names, links and lying sizes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in draw(st.lists(names, max_size=3)):
            entry = zipfile.ZipInfo(name.split("\x00")[0] or "x")
            entry.compress_type = zipfile.ZIP_DEFLATED
            if draw(st.integers(0, 5)) == 0:
                entry.external_attr = 0o120777 << 16  # a symbolic link
                archive.writestr(entry, "/etc/passwd")
            else:
                archive.writestr(entry, draw(st.sampled_from([*WHOLE, case_list(), b""])))
        if draw(st.integers(0, 5)) == 0:
            archive.writestr("bomb_t2.nii", bytes(BOMB_BYTES))
    content = buffer.getvalue()
    return draw(st.sampled_from([content, content, content[:-10], content[:40], b""]))


def case_list() -> bytes:
    return json.dumps([{"id": "x", "sequences": {"T2": "/etc/passwd"}}]).encode()


VOLUMES = st.one_of(
    odd_niftis(), odd_niftis(), odd_nrrds(), odd_meta_images(), damaged(), st.sampled_from(WHOLE),
    st.binary(max_size=400),
)  # fmt: skip
