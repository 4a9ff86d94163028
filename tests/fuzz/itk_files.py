"""NRRD and MetaImage files as bytes: whole ones, ones whose headers lie, and rare ones."""

import gzip
import math

from hypothesis import strategies as st

from tests.fuzz.voxels import SHAPES, label_voxels, odd_voxels, packed, resized

ITK_TYPES = [
    ("uint8", "MET_UCHAR", 1), ("int16", "MET_SHORT", 2), ("float", "MET_FLOAT", 4),
    ("double", "MET_DOUBLE", 8), ("int64", "MET_LONG_LONG", 8), ("uint32", "MET_UINT", 4),
]  # fmt: skip
NRRD_LINES = {
    "type": ["uint8", "uint8", "float", "double", "block", "int64", "uchar", "", "x" * 5000],
    "dimension": ["3", "3", "2", "4", "0", "-1", "16", "17", "99999999999"],
    "space": ["left-posterior-superior", "RAS", "3D-left-handed", ""],
    "sizes": ["24 20 6", "24 20 6", "24 20", "0 0 0", "-1 20 6", "65536 65536 65536",
              "24 20 6 3", "999999999999999999999 1 1", "a b c"],
    "space directions": ["(-1,0,0) (0,-1,0) (0,0,3)", "(1,0,0) (0,1,0) (0,0,3)",
                         "(0,0,0) (0,0,0) (0,0,0)", "none none none",
                         "(nan,0,0) (0,1,0) (0,0,1)", "(1e999,0,0) (0,1,0) (0,0,1)", "(1,0)"],
    "space origin": ["(10,12,5)", "(nan,nan,nan)", "(1e308,0,0)", ""],
    "kinds": ["domain domain domain", "vector domain domain", "domain"],
    "endian": ["little", "big", "middle"],
    "encoding": ["raw", "raw", "gzip", "bzip2", "hex", "text", "ascii", "zip"],
    "data file": ["/etc/passwd", "LIST", "x%03d.raw 1 9 1", "../../x", "", "/dev/zero"],
    "byte skip": ["-1", "0", "99999999999", "-5"],
    "line skip": ["0", "5", "-1"],
    "thicknesses": ["nan nan 3", "x" * 3000],
    "kinds and more": ["x" * 3000],
    "content": ["x" * 70_000, "\x00", "\u00e9"],
}  # fmt: skip
NRRD_NEEDED = ("type", "dimension", "space", "sizes", "space directions", "space origin",
               "endian", "encoding")  # fmt: skip
META_LINES = {
    "ObjectType": ["Image", "Tube", ""],
    "NDims": ["3", "2", "4", "0", "-1", "99999", "4294967299"],
    "BinaryData": ["True", "False"],
    "BinaryDataByteOrderMSB": ["False", "True"],
    "CompressedData": ["False", "True", "maybe"],
    "CompressedDataSize": ["1", "-1", "99999999999"],
    "TransformMatrix": ["-1 0 0 0 -1 0 0 0 1", "1 0 0 0 1 0 0 0 1", "0 0 0 0 0 0 0 0 0",
                        "nan 0 0 0 1 0 0 0 1", "1"],
    "Offset": ["10 12 5", "nan nan nan", "1e999 0 0", "0"],
    "ElementSpacing": ["1 1 3", "0 0 0", "-1 -1 -1", "nan 1 1", "1e-300 1 1", "1"],
    "DimSize": ["24 20 6", "24 20 6", "24 20", "0 0 0", "-1 20 6", "65536 65536 65536",
                "999999999999999999999 1 1", "a b c"],
    "HeaderSize": ["0", "-1", "5", "99999999999"],
    "ElementNumberOfChannels": ["1", "3", "0", "-1", "9999999"],
    "ElementType": ["MET_UCHAR", "MET_FLOAT", "MET_LONG", "MET_STRING", "MET_OTHER", ""],
    "Name": ["x" * 300, ""],
    "Comment": ["x" * 70_000, "\x00", "x" * 300],
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
def rare_itk_files(draw: st.DrawFn) -> bytes:
    """A .nrrd or .mha file that says the truth, of a rare shape and type."""
    shape = draw(st.sampled_from(SHAPES))
    nrrd_type, meta_type, size = draw(st.sampled_from(ITK_TYPES))
    voxels = draw(odd_voxels(math.prod(shape) * size))
    sizes, axes = " ".join(map(str, shape)), len(shape)
    if draw(st.booleans()):
        fields = {"type": nrrd_type, "dimension": axes, "sizes": sizes, "endian": "little",
                  "encoding": "gzip" if draw(st.booleans()) else "raw"}  # fmt: skip
        if axes == 3 and draw(st.booleans()):
            fields |= {name: NRRD_LINES[name][0] for name in
                       ("space", "space directions", "space origin")}  # fmt: skip
        if fields["encoding"] == "gzip":
            voxels = gzip.compress(voxels, mtime=0)
        lines = ["NRRD0004", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    else:
        fields = {"ObjectType": "Image", "NDims": axes, "DimSize": sizes, "ElementType": meta_type,
                  "ElementDataFile": "LOCAL"}  # fmt: skip
        lines = [*(f"{name} = {value}" for name, value in fields.items()), ""]
    return "\n".join(lines).encode() + voxels


def nrrd() -> bytes:
    """A whole .nrrd file of a label."""
    lines = ["NRRD0004", *(f"{name}: {NRRD_LINES[name][0]}" for name in NRRD_NEEDED), "", ""]
    return "\n".join(lines).encode() + label_voxels()


def meta_image() -> bytes:
    """A whole .mha file of a label."""
    lines = [f"{name} = {META_LINES[name][0]}" for name in META_NEEDED]
    return "\n".join([*lines, "ElementDataFile = LOCAL", ""]).encode() + label_voxels()
